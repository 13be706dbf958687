"""Folders of pictures that tests import."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from curate.demonstrations import import_set
from curate.engine import StageManifest
from curate.layout import Run
from curate.schema import Demonstration
from curate.storage import TEMPORARY

Imported = tuple[StageManifest, list[Demonstration]]


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Imported]:
    """`imported(kind, path, workers=, **settings)` runs an importer and gives manifest and records."""

    def go(kind: str, path: Path, workers: int = 1, out: str = "run", **settings: Any) -> Imported:
        run = Run.at(tmp_path / out)
        manifest = import_set(kind, str(path), settings, run, "set", workers)
        assert manifest.counts["in"] == manifest.counts["out"] + manifest.counts["dropped"] + manifest.counts["rejected"]
        return manifest, list(run.demonstrations())

    return go


@pytest.fixture
def lay(tmp_path: Path) -> Callable[[Mapping[str, bytes | str]], Path]:
    """`lay({name: content})` makes a folder `source` of files."""

    def go(files: Mapping[str, bytes | str]) -> Path:
        for name, content in files.items():
            place = tmp_path / "source" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / "source"

    return go


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run but the ones that hold seconds and what a killed process left in the images, which nobody reads."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in (".lock", "timings.jsonl"))
    files = (path for path in files if not (path.name.startswith(TEMPORARY) and folder / "images" in path.parents))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
