"""What is pulled is what was published, or nothing; a hostile source can neither write elsewhere nor fill the disk."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.engine import MANIFEST
from curate.errors import ConfigError, InputError, IntegrityError, StorageError
from curate.layout import Run
from curate.shards import ShardSettings, publish, pull, verify, write_shards
from curate.shards import pulling as module
from curate.shards.release import RELEASE, Entry
from curate.storage import Folder, hash_json, sha256


@pytest.fixture
def published(mixed_run: Run, tmp_path: Path) -> Path:
    write_shards(mixed_run, ShardSettings(max_episodes=6))
    publish(mixed_run, str(tmp_path / "there"), "1.0.0")
    return tmp_path / "there"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_pulled_version_is_the_published_one(published: Path, tmp_path: Path) -> None:
    done = pull(str(published), str(tmp_path / "here"))
    assert done.version == "1.0.0"
    assert contents(tmp_path / "here") == contents(published / "1.0.0")
    assert verify(tmp_path / "here") == []
    again = pull(str(published), str(tmp_path / "here"))
    assert again.fetched == ()
    assert set(again.skipped) == set(done.fetched)


def test_versions_are_chosen_by_number_or_by_name_and_a_version_folder_is_a_source_too(
    mixed_run: Run, published: Path, tmp_path: Path
) -> None:
    publish(mixed_run, str(published), "1.10.0")
    publish(mixed_run, str(published), "1.9.0")
    (published / "2.0.0").mkdir()
    (published / "2.0.0/part-00000.tar").write_bytes(b"still on its way")
    assert pull(str(published), str(tmp_path / "a")).version == "1.10.0"
    assert pull(str(published), str(tmp_path / "b"), "1.9.0").version == "1.9.0"
    assert pull(str(published / "1.9.0"), str(tmp_path / "c")).version == "1.9.0"
    with pytest.raises(InputError, match=r"no version 2.0.0"):
        pull(str(published), str(tmp_path / "d"), "2.0.0")
    with pytest.raises(ConfigError):
        pull(str(published), str(tmp_path / "d"), "../1.0.0")


def test_an_interrupted_pull_goes_on_and_does_not_count_before_its_end(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fetched = module.fetch, list[str]()

    def breaking(place: Folder, folder: Folder, name: str, entry: Entry) -> None:
        if name == "part-00002.tar":
            raise KeyboardInterrupt
        fetched.append(name)
        real(place, folder, name, entry)

    monkeypatch.setattr(module, "fetch", breaking)
    with pytest.raises(KeyboardInterrupt):
        pull(str(published), str(tmp_path / "here"))
    monkeypatch.setattr(module, "fetch", real)
    assert not (tmp_path / "here" / MANIFEST).exists()
    (tmp_path / "here/.tmp-left").write_bytes(b"of a killed process")
    (tmp_path / "here/part-00000.tar").write_bytes(b"damaged since")
    done = pull(str(published), str(tmp_path / "here"))
    assert set(done.skipped) == set(fetched) - {"part-00000.tar"}
    assert contents(tmp_path / "here") == contents(published / "1.0.0")


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"x", lambda d: d[:9] + b"\xff" + d[10:], lambda d: b""])
def test_other_bytes_than_stated_never_appear(published: Path, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = published / "1.0.0/part-00001.tar"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(IntegrityError, match=r"part-00001.tar is not what release.json says"):
        pull(str(published), str(tmp_path / "here"))
    assert not (tmp_path / "here/part-00001.tar").exists()
    assert not (tmp_path / "here" / MANIFEST).exists()
    assert not list((tmp_path / "here").rglob(".tmp-*"))


def test_a_source_that_sends_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        read_bytes = 0

        def read(self, size: int) -> bytes:
            Endless.read_bytes += size
            assert Endless.read_bytes < 10**8, "read on and on"
            return b"x" * size

        def __enter__(self) -> "Endless":
            return self

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr(Folder, "open", lambda self, name: Endless())
    with pytest.raises(IntegrityError):
        module.fetch(Folder.of("memory://endless"), Folder.of(tmp_path), "a.tar", Entry(size=10, sha256="0" * 64))
    assert not (tmp_path / "a.tar").exists()


def tampered(published: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """A release.json as an attacker would write it: with a digest that fits."""
    path = published / "1.0.0" / RELEASE
    value = json.loads(path.read_text())
    change(value)
    value["digest"] = hash_json({key: item for key, item in value.items() if key != "digest"})
    path.write_text(json.dumps(value))


ENTRY = {"size": 4, "sha256": sha256(b"evil")}


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/evil", "a/../../evil", "..", ".", "", "C:\\evil", "a\\..\\evil", ".ssh/evil", "a//b", "a\0b", "a\nb",
     "~/evil", "x" * 300, "part-00000.TAR", "https://evil/x", RELEASE],
)  # fmt: skip
def test_a_name_that_could_leave_the_folder_is_refused_before_anything_is_written(
    published: Path, tmp_path: Path, name: str
) -> None:
    tampered(published, lambda release: release["files"].update({name: ENTRY}))
    with pytest.raises(IntegrityError, match="refused"):
        pull(str(published), str(tmp_path / "here"))
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    "entry",
    [{"size": -1}, {"size": 1 << 60}, {"size": "4"}, {"size": 4.5}, {"size": True}, {"sha256": "x"}, {"sha256": None}, {"url": "http://x"}],
)  # fmt: skip
def test_an_entry_that_makes_no_sense_is_refused(published: Path, tmp_path: Path, entry: dict[str, Any]) -> None:
    tampered(published, lambda release: release["files"].update({"a.tar": {**ENTRY, **entry}}))
    with pytest.raises(IntegrityError, match="refused"):
        pull(str(published), str(tmp_path / "here"))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "nonsense", "null", "[" * 100_000, '{"format": "shotcraft-release/1"}', '{"files": {}, "files": {}}', "\xff"],
)
def test_what_is_no_release_is_refused(published: Path, tmp_path: Path, text: str) -> None:
    (published / "1.0.0" / RELEASE).write_text(text)
    with pytest.raises(IntegrityError, match="refused"):
        pull(str(published), str(tmp_path / "here"))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(format="shotcraft-release/9"),
        lambda r: r.update(version="9.9.9"),
        lambda r: r.update(version="../x"),
        lambda r: r["files"].pop(MANIFEST),
        lambda r: r.update(extra=1),
    ],
)
def test_a_release_that_is_not_this_version_is_refused(published: Path, tmp_path: Path, change: Any) -> None:
    tampered(published, change)
    with pytest.raises(IntegrityError):
        pull(str(published), str(tmp_path / "here"), "1.0.0")


def test_a_flipped_byte_of_the_release_is_found(published: Path, tmp_path: Path) -> None:
    path = published / "1.0.0" / RELEASE
    path.write_text(path.read_text().replace('"size": ', '"size": 1', 1))
    with pytest.raises(IntegrityError, match="digest does not fit"):
        pull(str(published), str(tmp_path / "here"))
    assert [fault.file for fault in verify(published / "1.0.0")] == [RELEASE]


def test_more_bytes_than_the_disk_has_are_refused_at_once(published: Path, tmp_path: Path) -> None:
    tampered(published, lambda release: release["files"].update({"a.tar": {**ENTRY, "size": 1 << 40}}))
    with pytest.raises(StorageError, match="free"):
        pull(str(published), str(tmp_path / "here"))


def test_a_folder_that_holds_something_else_is_left_alone(mixed_run: Run, published: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        pull(str(published), str(tmp_path / "mine"))
    pull(str(published), str(tmp_path / "here"))
    publish(mixed_run, str(published), "1.0.1")
    with pytest.raises(InputError, match="another version"):
        pull(str(published), str(tmp_path / "here"))


def test_a_full_disk_is_one_clear_error(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, real = iter(range(100)), os.fsync

    def full(descriptor: int) -> None:
        if next(calls) > 2:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="no space left"):
            pull(str(published), str(tmp_path / "here"))
    assert not list((tmp_path / "here").rglob(".tmp-*"))
    pull(str(published), str(tmp_path / "here"))
    assert verify(tmp_path / "here") == []


def test_nothing_there_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no published version"):
        pull(str(tmp_path / "nowhere"), str(tmp_path / "here"))
    with pytest.raises(StorageError, match="not a local folder"):
        pull(str(tmp_path / "nowhere"), "memory://x")
