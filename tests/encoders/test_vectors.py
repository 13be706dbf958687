"""What is read back is what was written, and damage is told before anything is computed with it."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curate.encoders.vectors import Vectors
from curate.engine import Partition, PartWriter, run
from curate.errors import InputError, IntegrityError
from curate.settings import Settings
from curate.storage import Folder


def as_npy(vectors: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, vectors.astype(np.float16))
    return out.getvalue()


class Fake(Settings):
    encoder: str = "offline"
    image_space: str = "joint"


class Stage:
    name, version = "embed", "1"
    settings = Fake()

    def setup(self) -> None: ...

    def process(self, payload: tuple[int, int], part: PartWriter) -> None:
        start, count = payload
        names = [f"d{i}" for i in range(start, start + count)]
        part.table(
            pa.table(
                {
                    "demonstration_id": pa.array(names, pa.string()),
                    "image_ref": pa.array([f"{n}.png" for n in names], pa.string()),
                }
            )
        )
        part.file("image.npy", as_npy(np.eye(4, dtype=np.float32)[np.arange(start, start + count) % 4]))


def embedded(folder: Path, *counts: int) -> Folder:
    starts = np.cumsum([0, *counts])
    run(Stage(), [Partition(str(i), (int(starts[i]), n)) for i, n in enumerate(counts)], Folder.of(folder))
    return Folder.of(folder)


def test_rows_stand_in_the_order_of_the_parts(tmp_path: Path) -> None:
    vectors = Vectors.read(embedded(tmp_path, 3, 0, 2))
    assert vectors.ids == [f"d{i}" for i in range(5)]
    assert vectors.refs[4] == "d4.png"
    assert np.array_equal(vectors.matrix, np.eye(4, dtype=np.float16)[[0, 1, 2, 3, 0]])
    assert np.array_equal(np.concatenate(list(vectors.blocks(2))), vectors.matrix)
    assert (vectors.row_of("d3"), vectors.row_of("none"), vectors.dim, vectors.encoder) == (3, -1, 4, "offline")
    assert vectors.present.all()
    assert np.array_equal(vectors.take(np.array([1, 2, 4])), vectors.matrix[[1, 2, 4]])
    assert vectors.take(np.array([], np.int64)).shape == (0, 4)


def test_one_part_is_a_read_only_view_of_the_file(tmp_path: Path) -> None:
    matrix = Vectors.read(embedded(tmp_path, 3)).matrix
    assert not matrix.flags.owndata
    assert not matrix.flags.writeable


def test_many_parts_do_not_hold_many_files_open(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    embedded(tmp_path, *[1] * 60)
    command = (  # a process of its own, since one that has run other tests may hold any number of files
        "import resource, sys; from curate.encoders.vectors import Vectors; from curate.storage import Folder;"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard));"
        "print(len(Vectors.read(Folder.of(sys.argv[1])).matrix))"
    )
    done = subprocess.run([sys.executable, "-c", command, tmp_path], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("60", 0), done.stderr


def test_no_part_at_all_is_no_vector(tmp_path: Path) -> None:
    assert len(Vectors.read(embedded(tmp_path))) == 0
    assert Vectors.read(Folder.of(tmp_path)).matrix.shape == (0, 0)


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY" + b"\0" * 500, as_npy(np.zeros((9, 4), np.float32))])
def test_a_damaged_part_is_an_integrity_error(tmp_path: Path, data: bytes) -> None:
    folder = embedded(tmp_path, 3, 2)
    (tmp_path / "part-00001.image.npy").write_bytes(data)
    with pytest.raises(IntegrityError, match=r"part-00001.image.npy"):
        Vectors.read(folder)


def test_a_space_that_was_not_embedded_is_told(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"no part-00000\.text\.npy"):
        Vectors.read(embedded(tmp_path, 2), "text")
    with pytest.raises(InputError, match="no finished stage"):
        Vectors.read(Folder.of(tmp_path / "elsewhere"))
