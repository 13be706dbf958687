"""Files appear whole or not at all, equal values hash alike, and images are stored once."""

import errno
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError, StorageError
from curate.storage import Folder, ImageStore, hash_json, read_table, sha256, table_bytes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    return Folder.of(tmp_path / "in") if request.param == "local" else Folder.of(f"memory://{tmp_path.name}/in")


def test_written_files_are_listed_and_read_back(folder: Folder) -> None:
    folder.write("a/b.bin", b"1")
    folder.write("a/b.bin", b"22")
    assert folder.names() == ["a/b.bin"]
    assert (folder.read("a/b.bin"), folder.size("a/b.bin"), folder.exists("a/b.bin")) == (b"22", 2, True)
    folder.remove("a/b.bin")
    assert (folder.size("a/b.bin"), folder.exists("a/b.bin"), folder.names()) == (-1, False, [])


def test_a_failed_write_leaves_nothing(folder: Folder) -> None:
    def fails() -> None:
        with folder.open_atomic("half.bin") as out:
            out.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert folder.names() == []


def test_a_missing_file_names_itself(folder: Folder) -> None:
    with pytest.raises(InputError, match=r"nothing\.bin does not exist"):
        folder.read("nothing.bin")


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match="no permission"):
        Folder.of(tmp_path).write("a", b"")


def test_a_file_over_the_limit_of_the_shell_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(_: int) -> None:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr("os.fsync", too_large)
    with pytest.raises(StorageError, match="ulimit"):
        Folder.of(tmp_path).write("a", b"1")


def test_leftovers_of_a_killed_process_are_invisible_and_cleaned(tmp_path: Path) -> None:
    (tmp_path / ".tmp-dead").write_bytes(b"half")
    folder = Folder.of(tmp_path)
    assert folder.names() == []
    folder.clean()
    assert list(tmp_path.iterdir()) == []


@given(JSON)
def test_equal_values_hash_alike_whatever_the_order_of_keys(value: object) -> None:
    if isinstance(value, dict):
        assert hash_json(value) == hash_json(dict(reversed(value.items())))
    assert len(hash_json(value)) == 64


def test_equal_tables_give_equal_bytes_and_unreadable_ones_an_error(folder: Folder) -> None:
    table = pa.table({"a": [1, 2], "b": [["x"], []]})
    assert table_bytes(table) == table_bytes(pa.table({"a": [1, 2], "b": [["x"], []]}))
    folder.write("t.parquet", table_bytes(table))
    assert read_table(folder, "t.parquet").equals(table)
    folder.write("t.parquet", table_bytes(table)[:-9])
    with pytest.raises(InputError, match="not readable Parquet"):
        read_table(folder, "t.parquet")


def test_an_image_is_stored_once_under_its_content(folder: Folder) -> None:
    store = ImageStore(folder)
    refs = {store.put(b"pixels", "png") for _ in range(3)}
    assert refs == {f"{sha256(b'pixels')}.png"}
    ref = refs.pop()
    assert (store.get(ref), ref in store, folder.names()) == (b"pixels", True, [f"{ref[:2]}/{ref}"])
