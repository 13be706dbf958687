"""What tests of training share: small real processors and plans over episodes with pictures.

`processors["qwen"]` is a processor (see tests/train/tiny_processors.py for the names), `episodes_plan` a plan over
24 episodes of 0 to 8 shots. Helpers that make more of them are in tests/train/tiny_episodes.py.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from curate.shards.plans import Plan
from curate.storage import Folder
from tests.train.tiny_episodes import mixed_plan
from tests.train.tiny_processors import NAMES, tiny_processor
from tests.train.tiny_runs import save_tiny_model

if TYPE_CHECKING:
    from transformers import ProcessorMixin


@pytest.fixture(scope="session")
def processors() -> "dict[str, ProcessorMixin]":
    """Processors by name: vicuna, llama, chatml, qwen, idefics."""
    return {name: tiny_processor(name) for name in NAMES}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, processors: "dict[str, ProcessorMixin]") -> Path:
    """The folder of a tiny Llava with its processor; only to be read."""
    return save_tiny_model(tmp_path_factory.mktemp("vicuna"), "vicuna", processors["vicuna"])


@pytest.fixture(scope="session")
def episodes_plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A plan over 24 episodes of 0, 1, 2, 4 and 8 demonstrations; only to be read."""
    return mixed_plan(Folder.of(tmp_path_factory.mktemp("episodes")))
