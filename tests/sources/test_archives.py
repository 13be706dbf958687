"""Archives are read in memory; hostile members are left aside with a reason and the good ones are all there."""

import bz2
import gzip
import io
import lzma
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.sources.archives import BadMember, Limits, members, safe_name

FILES = {"a.html": b"<p>one</p>", "img/b.png": b"x" * 70_000, "deep/er/c.txt": b""}


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in more:
            archive.addfile(info)
    return out.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
}


def read(path: Path, limits: Limits | None = None) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
    refused: list[tuple[str, str]] = []
    found = {}
    for member in members(path, limits, lambda name, reason, _: refused.append((name, reason))):
        try:
            found[member.name] = member.read()
        except BadMember as error:
            refused.append((member.name, error.reason))
    return found, refused


def put(tmp_path: Path, data: bytes, name: str = "x.bin") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", PACKERS)
def test_tars_of_every_compression_give_their_files(tmp_path: Path, kind: str) -> None:
    assert read(put(tmp_path, PACKERS[kind](tarred(FILES)))) == (FILES, [])


def test_zips_give_their_files(tmp_path: Path) -> None:
    assert read(put(tmp_path, zipped(FILES))) == (FILES, [])


def test_several_gzip_streams_in_a_row_are_one_tar(tmp_path: Path) -> None:
    data = tarred(FILES)
    assert read(put(tmp_path, gzip.compress(data[:700]) + gzip.compress(data[700:]))) == (FILES, [])


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "C:\\x", "..\\x", "a\nb", "", "./", "n" * 2000])
def test_names_that_point_outside_are_refused(tmp_path: Path, name: str) -> None:
    good = {"ok.html": b"ok"}
    assert safe_name(name) is None
    if name:
        found, refused = read(put(tmp_path, tarred({name: b"bad", **good})))
        assert found == good
        assert [reason for _, reason in refused] in (["unsafe_name"], [])  # "./" is a directory
        found, refused = read(put(tmp_path, zipped({name: b"bad", **good})))
        assert found == good


@given(st.text(max_size=40))
def test_a_safe_name_never_leaves_its_folder(name: str) -> None:
    safe = safe_name(name)
    if safe is not None:
        assert not safe.startswith("/")
        assert not set(safe.split("/")) & {"", ".", ".."}
        assert safe_name(safe) == safe


def test_links_devices_and_pipes_are_refused(tmp_path: Path) -> None:
    odd = []
    for name, kind in [("s", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE), ("d", tarfile.CHRTYPE), ("p", tarfile.FIFOTYPE)]:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        odd.append(info)
    found, refused = read(put(tmp_path, tarred(FILES, *odd)))
    assert found == FILES
    assert refused == [("s", "link"), ("h", "link"), ("d", "special_file"), ("p", "special_file")]


def test_links_in_zips_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("s")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a", b"a")
    assert read(put(tmp_path, out.getvalue())) == ({"a": b"a"}, [("s", "link")])


def test_bombs_are_refused_by_ratio_and_size(tmp_path: Path) -> None:
    bomb = zipped({"bomb.html": b"\0" * 5_000_000, "a": b"a"})
    assert read(put(tmp_path, bomb)) == ({"a": b"a"}, [("bomb.html", "compression_ratio")])
    big = tarred({"big": b"x" * 5000, "a": b"a"})
    assert read(put(tmp_path, big), Limits(max_member=4000)) == ({"a": b"a"}, [("big", "too_large")])


def test_a_bomb_behind_a_stream_stops_the_walk(tmp_path: Path) -> None:
    packed = lzma.compress(tarred({"a": b"a", "bomb": b"\0" * 80_000_000}))
    found, refused = read(put(tmp_path, packed))
    assert found == {"a": b"a"}
    assert ("x.bin", "compression_ratio") in refused or ("bomb", "compression_ratio") in refused


def test_a_header_that_claims_gigabytes_is_corrupt(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 3 << 30
    head = info.tobuf(tarfile.USTAR_FORMAT)
    found, refused = read(put(tmp_path, tarred({"a": b"a"})[:1024] + head + b"x" * 10_000))
    assert found == {"a": b"a"}
    assert [reason for _, reason in refused] in (["corrupt"], ["truncated"])


def test_total_size_and_number_are_bounded(tmp_path: Path) -> None:
    path = put(tmp_path, zipped({f"{i}": b"x" * 100 for i in range(10)}))
    found, refused = read(path, Limits(max_total=450))
    assert (len(found), refused) == (4, [("x.bin", "archive_too_large")])
    found, refused = read(path, Limits(max_members=3))
    assert (len(found), refused) == (3, [("x.bin", "archive_too_large")])


def test_nested_and_doubled_members_are_refused(tmp_path: Path) -> None:
    found, refused = read(put(tmp_path, tarred({"in.zip": zipped(FILES), "a": b"a", "./a": b"b"})))
    assert (found, refused) == ({"a": b"a"}, [("in.zip", "nested_archive"), ("./a", "duplicate_name")])


@pytest.mark.parametrize("kind", [*PACKERS, "zip"])
def test_truncated_archives_give_what_came_before_and_a_reason(tmp_path: Path, kind: str) -> None:
    noise = random.Random(1).randbytes(200_000)
    files = {"a.html": b"<p>one</p>", "b.bin": noise, "c.bin": noise[::-1]}
    data = zipped(files) if kind == "zip" else PACKERS[kind](tarred(files))
    found, refused = read(put(tmp_path, data[: len(data) * 3 // 4]))
    assert refused
    assert {reason for _, reason in refused} <= {"truncated", "corrupt"}
    assert all(files[name] == data for name, data in found.items())
    if kind in ("tar", "tar.gz"):
        assert {"a.html", "b.bin"} <= set(found)


def test_a_flipped_byte_is_a_bad_member(tmp_path: Path) -> None:
    data = bytearray(zipped({"a": b"a" * 50, "b": b"b"}, zipfile.ZIP_STORED))
    data[40] ^= 1
    found, refused = read(put(tmp_path, bytes(data)))
    assert (found, refused) == ({"b": b"b"}, [("a", "corrupt")])


@pytest.mark.parametrize("data", [b"", b"hello", b"<html>" * 200, gzip.compress(b"no tar at all" * 100)])
def test_other_files_are_no_archives(tmp_path: Path, data: bytes) -> None:
    found, refused = read(put(tmp_path, data))
    assert found == {}
    assert refused[0][1] in ("not_an_archive", "corrupt", "truncated")


@given(st.binary(max_size=2000), st.sampled_from([b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\x00", b""]))
def test_any_bytes_end_in_reasons_and_not_in_crashes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, head: bytes
) -> None:
    read(put(tmp_path_factory.mktemp("any"), head + data))


@pytest.mark.parametrize("cut", [1024 + 300, 1024])
def test_a_tar_cut_inside_or_before_a_header_is_truncated(tmp_path: Path, cut: int) -> None:
    data = tarred({"a": b"a", "b": b"b"})
    assert read(put(tmp_path, data[:cut])) == ({"a": b"a"}, [("x.bin", "truncated")])


@pytest.mark.parametrize("kind", [*PACKERS, "zip"])
def test_members_larger_than_any_buffer_are_whole(tmp_path: Path, kind: str) -> None:
    files = {"big": bytes(range(256)) * 80_000} if kind != "tar.bz2" else {"big": random.Random(2).randbytes(2 << 20)}
    data = zipped(files, zipfile.ZIP_STORED) if kind == "zip" else PACKERS[kind](tarred(files))
    assert read(put(tmp_path, data), Limits(max_ratio=1e6)) == (files, [])


def header(name: str, kind: bytes = tarfile.REGTYPE, body: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body.ljust(-(-len(body) // 512) * 512, b"\0")


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize(
    "trap",
    [
        header("././@LongLink", tarfile.GNUTYPE_LONGNAME, b"name\0") * 5000,
        header("x", tarfile.XHDTYPE, b"14 size=-1536\n") + header("loop.html"),
    ],
    ids=["extensions of extensions", "a size that leads back"],
)
def test_tar_headers_that_lead_nowhere_end_the_walk(tmp_path: Path, trap: bytes, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "trap").write_bytes(pack(header("first.html", body=b"good") + trap + header("last.html") + b"\0" * 1024))
    refused: list[tuple[str, str, str]] = []
    found = [member.read() for member in members(tmp_path / "trap", Limits(max_members=100), lambda *why: refused.append(why))]
    assert found == [b"good"]
    assert [why[:2] for why in refused] == [("trap", "corrupt")]
