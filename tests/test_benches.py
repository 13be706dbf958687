"""A frozen benchmark opens as it was written, and not at all when anything of it changed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from curate.benches import BENCH, ITEMS, Bench, BenchManifest, Item, counts_of, write_bench
from curate.errors import InputError, IntegrityError
from curate.schema import Episode, Image, Provenance, Shot
from curate.storage import Folder, sha256

PICTURE = b"the bytes of a picture"
REF = f"{sha256(PICTURE)}.png"
MANIFEST = BenchManifest(1, "small", "1", "Which?", "choice", "choice", "none", {}, {}, {}, {})


def item(number: int, shots: int = 1, ref: str = REF) -> Item:
    image = Image(ref, 4, 4, "0" * 16)
    shot = Shot("positive", 0.5, f"d{number}", "", (image,), "Which?", "A", "cat", ("cat", "dog"))
    query = replace(shot, role="query", similarity=None, demonstration_id=f"q{number}")
    origin = Provenance("test", str(number))
    episode = Episode(
        str(number), "category", "cat", "choice", (shot,) * shots, query, "t", "t", "t", 0, "t", "CC0-1.0", origin
    )
    return Item(f"i{number}", f"g{number // 2}", shots, 2, ("A", "B"), ("A",), episode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bench(Folder.of(tmp_path / "bench"), MANIFEST, [item(number) for number in range(4)], {REF: PICTURE})
    return tmp_path / "bench"


def test_it_comes_back_as_it_was_written(folder: Path) -> None:
    bench = Bench.open(folder)
    assert bench.items == [item(number) for number in range(4)]
    assert bench.manifest.counts == {"1": {"items": 4, "groups": 2}}
    assert (bench.shots, bench.picture(REF)) == ([1], PICTURE)


def test_equal_content_has_equal_bytes_and_digest(folder: Path, tmp_path: Path) -> None:
    again = write_bench(Folder.of(tmp_path / "again"), MANIFEST, Bench.open(folder).items, {REF: PICTURE})
    assert again.digest == Bench.open(folder).digest
    for name in (BENCH, ITEMS):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    other = write_bench(Folder.of(tmp_path / "other"), MANIFEST, [item(9)], {REF: PICTURE})
    assert other.digest != again.digest


def test_changed_items_are_not_opened(folder: Path) -> None:
    write_bench(Folder.of(folder.parent / "other"), MANIFEST, [item(9)], {REF: PICTURE})
    (folder / ITEMS).write_bytes((folder.parent / "other" / ITEMS).read_bytes())
    with pytest.raises(IntegrityError, match=ITEMS):
        Bench.open(folder)


def test_a_changed_picture_is_not_shown(folder: Path) -> None:
    (folder / "images" / REF[:2] / REF).write_bytes(b"another")
    with pytest.raises(IntegrityError, match="another picture"):
        Bench.open(folder).picture(REF)


@pytest.mark.parametrize(
    "change",
    [
        {"metric": "fame"}, {"name": "../up"}, {"name": ".."}, {"name": 7}, {"files": {}}, {"counts": {"many": {}}},
        {"counts": []}, {"surplus": 1}, {"format": None},
    ],
)  # fmt: skip
def test_a_manifest_of_another_shape_is_told(folder: Path, change: dict[str, object]) -> None:
    text = json.loads((folder / BENCH).read_text())
    (folder / BENCH).write_text(json.dumps({**text, **change}))
    with pytest.raises((IntegrityError, InputError), match="bench"):
        Bench.open(folder)


@pytest.mark.parametrize("text", ["", "[]", "7", "null", "{", "[" * 100_000, '"\ud800"'])
def test_a_manifest_that_is_none_is_told(folder: Path, text: str) -> None:
    (folder / BENCH).write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(IntegrityError, match="not a benchmark's manifest"):
        Bench.open(folder)


def test_a_folder_without_a_benchmark_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="curate bench build"):
        Bench.open(tmp_path)


def test_what_cannot_be_a_benchmark_is_not_written(tmp_path: Path) -> None:
    place = Folder.of(tmp_path / "bench")
    with pytest.raises(InputError, match="without items"):
        write_bench(place, MANIFEST, [])
    with pytest.raises(InputError, match="share an id"):
        write_bench(place, MANIFEST, [item(1), item(1)], {REF: PICTURE})
    with pytest.raises(InputError, match="missing"):
        write_bench(place, MANIFEST, [item(1, ref="f" * 64 + ".png")], {REF: PICTURE})
    with pytest.raises(InputError, match="another hash"):
        write_bench(place, MANIFEST, [item(1)], {"f" * 64 + ".png": PICTURE})
    assert not (tmp_path / "bench" / BENCH).exists()


def test_groups_are_counted_by_shots() -> None:
    found = counts_of([item(0), item(1), item(2), item(3, shots=2)])
    assert found == {"1": {"items": 3, "groups": 2}, "2": {"items": 1, "groups": 1}}
