"""A tiny open_clip model, the offline encoder, and a run with a few demonstrations."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from curate.encoders import load_encoder
from curate.encoders.openclip import OpenClipEncoder
from curate.engine import Partition, PartWriter
from curate.engine import run as run_stage
from curate.layout import Run
from curate.schema import Demonstration, Image, Provenance, as_json, to_table
from curate.settings import Settings
from curate.storage import hash_json

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local-dir checkpoint of a tiny CLIP with random weights."""
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny-clip")
    state = {key: value.contiguous().clone() for key, value in CLIP(**TINY).state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": {}}))
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> OpenClipEncoder:
    """The tiny model as an encoder."""
    return load_encoder(f"open_clip:local-dir:{tiny_folder}", device="cpu")


@pytest.fixture(scope="session")
def offline() -> OpenClipEncoder:
    """The embedded offline encoder."""
    return load_encoder("offline", device="cpu")


class _Store:
    name, version, settings = "demonstrations", "1", Settings()

    def setup(self) -> None:
        pass

    def process(self, payload: list[Demonstration], part: PartWriter) -> None:
        part.saw(len(payload))
        part.table(to_table(payload, Demonstration))


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """`make_run([([image bytes, ...], answer), ...], part=2)` gives a run that holds these demonstrations, by two."""

    def make(shown: Sequence[tuple[Sequence[bytes], str]], part: int = 1000) -> Run:
        run = Run.at(tmp_path / "run")
        records = [_demonstration(run, i, images, answer) for i, (images, answer) in enumerate(shown)]
        chunks = [records[start : start + part] for start in range(0, len(records), part)] or [[]]
        parts = [Partition(hash_json([as_json(record) for record in chunk]), chunk) for chunk in chunks]
        run_stage(_Store(), parts, run.root / "demonstrations" / "drawn")
        return run

    return make


def _demonstration(run: Run, number: int, images: Sequence[bytes], answer: str) -> Demonstration:
    stored = tuple(Image(run.images.put(data, "png"), 200, 160, "0" * 16) for data in images)
    where = Provenance("drawn", str(number))
    return Demonstration(f"d{number}", stored, "", answer, "caption", (), "caption", "", "", "drawn", "CC0-1.0", where)
