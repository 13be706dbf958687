"""Real pages: twenty of gimp-help-en, read by hand, come out as they should."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from curate.documents import mine, settings_of
from curate.layout import Run
from curate.sources import path_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def quality() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quality_mining", ROOT / "benchmarks/quality_mining.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")  # a benchmark finds what it shares with others beside itself
        patch.setitem(sys.modules, "quality_mining", module)
        spec.loader.exec_module(module)
    return module


@pytest.mark.samples
def test_hand_checked_pages_keep_their_text_pictures_and_captions(quality: ModuleType, tmp_path: Path) -> None:
    pages = path_of("gimp-help-en")
    if pages is None:
        pytest.skip("gimp-help-en is not in the sample cache; get it with: curate samples fetch gimp-help-en")
    truth = json.loads(quality.TRUTH.read_text(encoding="utf-8"))["pages"]
    run = Run.at(tmp_path)
    mine([str(pages / page) for page in truth], settings_of("none", overrides=["filters.image_side.min=50"]), run, "checked")
    documents = {d.provenance.record: d for d in run.documents()}
    for page, rows in truth.items():
        wanted = [item for item in quality.truth_items(rows) if "sight-defects" not in item[1]]  # 15 px high
        assert quality.found_items(documents[page]) == wanted, page
