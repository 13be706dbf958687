"""`curate index` and `curate search` speak to people and to scripts."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from curate.engine import Partition, PartWriter, run
from curate.errors import ConfigError, InputError
from curate.settings import Settings
from curate.storage import Folder
from pipelines.cli import app


class Made(Settings):
    encoder: str = "offline"
    image_space: str = "tower"


class Embedded:
    name, version, settings = "embed", "1", Made()

    def setup(self) -> None: ...

    def process(self, payload: int, part: PartWriter) -> None:
        ids = [f"d{i}" for i in range(payload)]
        part.table(pa.table({"demonstration_id": ids, "image_ref": [f"{i}.png" for i in ids]}))
        out = io.BytesIO()
        np.save(out, np.eye(payload, dtype=np.float16))
        part.file("image.npy", out.getvalue())


@pytest.fixture
def place(tmp_path: Path) -> str:
    run(Embedded(), [Partition("", 4)], Folder.of(tmp_path / "embeddings"))
    return str(tmp_path)


def test_index_then_search_by_id(place: str) -> None:
    planned = CliRunner().invoke(app, ["index", place, "--dry-run", "--json"])
    assert json.loads(planned.stdout) == {"kind": "flat", "vectors": 4, "dim": 4, "bytes": 64}
    made = CliRunner().invoke(app, ["index", place, "--json"])
    assert json.loads(made.stdout)["kind"] == "flat"
    found = CliRunner().invoke(app, ["search", place, "--id", "d2", "-k", "2", "--json"])
    assert [hit["id"] for hit in json.loads(found.stdout)] == ["d0", "d1"]
    shown = CliRunner().invoke(app, ["search", place, "--id", "d2"])
    assert shown.exit_code == 0
    assert "d0" in shown.stderr


def test_mistakes_are_told(place: str) -> None:
    CliRunner().invoke(app, ["index", place])
    for arguments, kind, message in (
        (["search", place], ConfigError, "give one of"),
        (["search", place, "--id", "d1", "--text", "x"], ConfigError, "give one of"),
        (["search", place, "--image", "/nowhere.png"], InputError, "cannot read"),
        (["search", place, "--text", "x"], ConfigError, "--image-space joint"),
        (["index", place, "--set", "exakt_below=3"], ConfigError, "exact_below"),
    ):
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, kind)
        assert message in str(result.exception)
