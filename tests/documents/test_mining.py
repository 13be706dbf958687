"""Sources of every kind become Documents; hostile ones leave the good records whole."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.documents import MineSettings, mine, settings_of
from curate.documents.mining import EXTRACTED, count_pages
from curate.engine import StageManifest, check_rejected
from curate.errors import ConfigError, InputError, QualityError
from curate.layout import Run
from curate.schema import Document

Draw = Callable[..., bytes]
NONE = settings_of("none")
PROSE = "This is a text that people might write when they have something to say about the weather in the north. "


def site(folder: Path, picture: Draw, pages: int = 6) -> Path:
    """A small site: a logo on every page, a picture of its own on each, and furniture."""
    (folder / "img").mkdir(parents=True)
    (folder / "img/logo.png").write_bytes(picture(99))
    for number in range(pages):
        (folder / f"img/p {number}.png").write_bytes(picture(number))
        (folder / f"p{number}.html").write_text(
            f"<html><title>Page {number}</title><nav>Menu</nav><p>{PROSE} Number {number}.</p><img src='img/logo.png'>"
            f"<figure><img src='img/p%20{number}.png' alt='alt {number}'><figcaption>Picture {number}</figcaption></figure>"
            f"<img src='https://cdn.example/x.png'><img src='gone.png'></html>"
        )
    return folder


def documents(run: Path) -> list[Document]:
    return list(Run.at(run).documents())


def contents(folder: Path) -> dict[str, bytes]:
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in (".lock", "timings.jsonl")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if not p.name.startswith(".tmp-")}


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(folder))
    return target


def tarred(folder: Path, target: Path, mode: str) -> Path:
    with tarfile.open(target, mode) as archive:
        archive.add(folder, ".")
    return target


def test_a_folder_becomes_documents_with_pictures_captions_and_reasons(tmp_path: Path, picture: Draw) -> None:
    source = site(tmp_path / "site", picture)
    manifest = mine([str(source)], NONE.model_copy(update={"licence": "CC0-1.0"}), Run.at(tmp_path / "run"))
    assert manifest.counts == {"in": 6, "out": 6, "dropped": 0, "rejected": 0}
    found = documents(tmp_path / "run")
    assert [d.title for d in found] == [f"Page {i}" for i in range(6)]
    first = found[0]
    assert [n.kind for n in first.nodes] == ["text", "image", "image"]
    assert (first.nodes[2].caption, first.nodes[2].alt, first.nodes[2].href) == ("Picture 0", "alt 0", "img/p%200.png")
    assert [(left.href, left.reason) for left in first.left_out] == [
        ("https://cdn.example/x.png", "remote"),
        ("gone.png", "missing"),
    ]
    assert (first.source, first.licence, first.language) == ("site", "CC0-1.0", "en")
    assert (first.provenance.source, first.provenance.record) == ("site", "p0.html")
    assert [step.partition(":")[0] for step in first.provenance.lineage] == ["extract", "mine"]
    assert Run.at(tmp_path / "run").images.get(first.nodes[2].image.ref) == picture(0)


def test_no_machine_path_enters_the_output(tmp_path: Path, picture: Draw) -> None:
    mine([str(site(tmp_path / "site", picture))], NONE, Run.at(tmp_path / "run"))
    assert not [name for name, data in contents(tmp_path / "run").items() if str(tmp_path).encode() in data]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_archives_give_the_documents_of_the_folder(tmp_path: Path, picture: Draw, kind: str) -> None:
    source = site(tmp_path / "site", picture)
    target = tmp_path / f"pages.{kind}"
    packed = zipped(source, target) if kind == "zip" else tarred(source, target, "w:" + kind.partition(".")[2])
    mine([str(source)], NONE, Run.at(tmp_path / "a"), "s")
    mine([str(packed)], NONE, Run.at(tmp_path / "b"), "s", workers=2)
    assert [d.nodes for d in documents(tmp_path / "a")] == [d.nodes for d in documents(tmp_path / "b")]
    assert not list(Path(tmp_path / "b").rglob("*.html"))


def test_a_single_file_finds_its_pictures(tmp_path: Path, picture: Draw) -> None:
    source = site(tmp_path / "site", picture)
    run = Run.at(tmp_path / "run")
    mine([str(source / "p1.html"), str(source / "p2.html")], NONE, run, "two")
    assert [len(d.nodes) for d in run.documents()] == [3, 3]
    assert [d.provenance.source for d in run.documents()] == ["p1.html", "p2.html"]
    (source / "img/p 1.png").write_bytes(picture(77))
    mine([str(source / "p1.html"), str(source / "p2.html")], NONE, run, "two")
    assert run.images.get(next(run.documents()).nodes[2].image.ref) == picture(77)


def test_bytes_do_not_depend_on_workers(tmp_path: Path, picture: Draw) -> None:
    source = site(tmp_path / "site", picture, pages=12)
    settings = settings_of("obelics", overrides=["pages_per_part=2"])
    for workers in (1, 4):
        mine([str(source)], settings, Run.at(tmp_path / str(workers)), workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")


KILLED = """
from curate.documents import mine, settings_of
from curate.layout import Run
if __name__ == "__main__":
    mine([{source!r}], settings_of("none", overrides=["pages_per_part=2"]), Run.at({out!r}), workers={workers})
"""


@pytest.mark.parametrize(("workers", "after"), [(1, 0.9), (2, 2.0)])
def test_killed_and_run_again_gives_the_same_bytes(tmp_path: Path, picture: Draw, workers: int, after: float) -> None:
    def draw(seed: int) -> bytes:
        return picture(seed, size=(900, 700))

    source = site(tmp_path / "site", draw, pages=30)
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(source=str(source), out=str(tmp_path / "out"), workers=workers))
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    settings = settings_of("none", overrides=["pages_per_part=2"])
    for out in ("out", "whole"):
        mine([str(source)], settings, Run.at(tmp_path / out))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_other_thresholds_read_no_page_again(tmp_path: Path, picture: Draw) -> None:
    source, run = site(tmp_path / "site", picture), Run.at(tmp_path / "run")
    mine([str(source)], NONE, run)
    before = (tmp_path / "run" / EXTRACTED / "site/timings.jsonl").read_text()
    mine([str(source)], settings_of("none", overrides=["filters.node_words.min=30"]), run)
    assert (tmp_path / "run" / EXTRACTED / "site/timings.jsonl").read_text() == before
    assert all(node.kind == "image" for d in run.documents() for node in d.nodes)


def test_a_picture_on_many_documents_is_dropped_by_exact_count(tmp_path: Path, picture: Draw) -> None:
    source = site(tmp_path / "site", picture, pages=11)
    (source / "img/logo.png").replace(source / "img/mark.png")
    for number, page in enumerate(sorted(source.glob("*.html"))):
        shown = f"<img src=img/mark.png><img src=img/mark.png>{number}" if number else ""
        page.write_text(page.read_text().replace("<img src='img/logo.png'>", shown))
    run = Run.at(tmp_path / "run")
    settings = settings_of("none", overrides=["filters.image_reuse.max=10", "pages_per_part=3"])
    manifest = mine([str(source)], settings, run)
    assert "image nodes dropped" not in manifest.tallies  # ten documents show it, twice each
    manifest = mine([str(source)], settings_of("none", overrides=["filters.image_reuse.max=9", "pages_per_part=3"]), run)
    assert manifest.tallies["image nodes dropped"] == {"image_reuse": 20}
    assert any(left.reason == "image_reuse: 10 documents" for d in run.documents() for left in d.left_out)


def test_the_obelics_preset_says_why_it_dropped_what(tmp_path: Path, picture: Draw) -> None:
    source, run = site(tmp_path / "site", picture), Run.at(tmp_path / "run")
    (source / "few.html").write_text("<p>Too few words here.</p><img src='img/p%200.png'>")
    (source / "none.html").write_text(f"<p>{PROSE}</p>")
    (source / "void.html").write_text("<nav>x</nav>")
    (source / "german.html").write_text(
        "<p>Dies ist ein Text, den man ohne jede Mühe als deutsch erkennen sollte.</p><img src='img/p%200.png'>"
    )
    manifest = mine([str(source)], settings_of("obelics"), run)
    assert manifest.dropped == {"document_images": 1, "document_words": 1, "language": 1, "no_content": 1}
    extracted = StageManifest.load(run.root / EXTRACTED / "site")
    assert extracted.tallies["images left out"] == {"image_address": 6, "missing": 6, "remote": 6}
    rows = [json.loads(line) for line in (tmp_path / "run/documents/site/dropped/part-00000.jsonl").read_text().splitlines()]
    assert {"record": "site/few.html", "reason": "document_words", "detail": "4"} in rows


def test_bad_pages_are_rejected_with_a_reason_and_the_good_ones_are_all_there(tmp_path: Path, picture: Draw) -> None:
    source = site(tmp_path / "site", picture)
    (source / "zero.html").write_bytes(b"")
    (source / "binary.html").write_bytes(picture(1))
    (source / "broken.html").write_bytes(b"<p>fine <b>text<table><p>" + b"\xff\xfe\xfd")
    (source / "huge.html").write_bytes(b"<p>x" * 3000)
    (source / "img/p 0.png").write_bytes(picture(0)[:200])
    (source / "img/p 1.png").write_bytes(b"")
    (source / "img/p 2.png").write_bytes(b"<html>404</html>")
    manifest = mine([str(source)], settings_of("none", overrides=["pages.max_page_bytes=8000"]), Run.at(tmp_path / "run"))
    assert manifest.counts == {"in": 10, "out": 7, "dropped": 0, "rejected": 3}
    assert manifest.rejected == {"empty_page": 1, "not_html": 1, "page_too_large": 1}
    reasons = {
        d.provenance.record: [left.reason.partition(":")[0] for left in d.left_out] for d in documents(tmp_path / "run")
    }
    assert [reasons[f"p{i}.html"][0] for i in range(4)] == ["truncated", "empty", "unknown_format", "remote"]
    check_rejected(manifest, 0.3)
    with pytest.raises(QualityError):
        check_rejected(manifest, 0.2)


def test_links_out_of_a_folder_are_not_followed(tmp_path: Path, picture: Draw) -> None:
    source = site(tmp_path / "site", picture)
    (tmp_path / "secret.png").write_bytes(picture(5))
    (tmp_path / "private").mkdir()
    (tmp_path / "private/x.png").write_bytes(picture(6))
    (source / "link.png").symlink_to(tmp_path / "secret.png")
    (source / "away").symlink_to(tmp_path / "private")
    (source / "inside.png").symlink_to(source / "img/logo.png")
    os.mkfifo(source / "pipe.png")
    images = "".join(f"<img src='{name}'>" for name in ("link.png", "away/x.png", "inside.png", "pipe.png", "../secret.png"))
    (source / "p0.html").write_text(f"<p>x</p>{images}")
    mine([str(source)], NONE, Run.at(tmp_path / "run"))
    first = documents(tmp_path / "run")[0]
    assert [n.href for n in first.nodes if n.kind == "image"] == ["inside.png"]
    assert [left.reason for left in first.left_out] == ["missing", "missing", "missing", "outside_source"]


def test_hostile_archive_members_are_rejected_and_counted(tmp_path: Path, picture: Draw) -> None:
    target = tmp_path / "hostile.tar"
    with tarfile.open(target, "w") as archive:
        for name, data in [
            ("p.html", f"<p>{PROSE}</p><img src=a.png>".encode()),
            ("a.png", picture(1)),
            ("../evil.html", b"<p>x"),
        ]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.html")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    manifest = mine([str(target)], NONE, Run.at(tmp_path / "run"))
    assert manifest.counts == {"in": 3, "out": 1, "dropped": 0, "rejected": 2}
    assert manifest.rejected == {"link": 1, "unsafe_name": 1}
    assert [len(d.nodes) for d in documents(tmp_path / "run")] == [2]


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_a_truncated_archive_gives_its_readable_pages(tmp_path: Path, picture: Draw, kind: str) -> None:
    packed = tarred(site(tmp_path / "site", picture), tmp_path / f"x.{kind}", "w:" + kind.partition(".")[2])
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size * 3 // 4])
    (tmp_path / "good.html").write_text(f"<p>{PROSE}</p>")
    manifest = mine([str(packed), str(tmp_path / "good.html")], NONE, Run.at(tmp_path / "run"))
    assert "truncated" in manifest.rejected
    assert manifest.counts["out"] >= 1
    assert manifest.counts["in"] == manifest.counts["out"] + manifest.counts["rejected"]


def test_equal_names_of_sources_are_told_apart(tmp_path: Path, picture: Draw) -> None:
    sources = [str(site(tmp_path / name / "site", picture, pages=2)) for name in ("a", "b")]
    assert count_pages(sources, NONE) == {"site": 2, "site-2": 2}
    mine(sources, NONE, Run.at(tmp_path / "run"))
    assert len({d.id for d in documents(tmp_path / "run")}) == 4


def test_sources_that_are_not_there_or_hold_nothing_are_errors(tmp_path: Path) -> None:
    run = Run.at(tmp_path / "run")
    with pytest.raises(InputError, match="does not exist"):
        mine([str(tmp_path / "no")], NONE, run)
    (tmp_path / "void").mkdir()
    with pytest.raises(InputError, match="no pages in void"):
        mine([str(tmp_path / "void")], NONE, run)
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match="not_an_archive"):
        mine([str(tmp_path / "x.zip")], NONE, run)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a b"])
def test_a_name_is_one_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="must be letters"):
        mine([str(tmp_path)], NONE, Run.at(tmp_path / "run"), name)


def test_data_addresses_and_bases_are_resolved(tmp_path: Path, picture: Draw) -> None:
    import base64

    (tmp_path / "s/media").mkdir(parents=True)
    (tmp_path / "s/media/a.png").write_bytes(picture(1))
    inline = "data:image/png;base64," + base64.b64encode(picture(2)).decode()
    (tmp_path / "s/p.html").write_text(f"<base href='media/'><img src=a.png><img src='{inline}'><img src=/media/a.png>")
    mine([str(tmp_path / "s")], MineSettings(), Run.at(tmp_path / "run"))
    hrefs = [node.href for node in documents(tmp_path / "run")[0].nodes]
    assert hrefs == ["a.png", "data:image/png;base64,…", "/media/a.png"]


def test_the_command_reports_and_obeys_max_rejected(tmp_path: Path, picture: Draw) -> None:
    source = site(tmp_path / "site", picture, pages=2)
    (source / "zero.html").write_bytes(b"")
    command = [sys.executable, "-m", "pipelines.cli", "mine", str(source), "--out", str(tmp_path / "run"), "-j", "1"]
    done = subprocess.run([*command, "--preset", "none", "--json", "--max-rejected", "0.1"], capture_output=True, text=True)
    assert done.returncode == 3
    assert "1 of 3 records rejected" in done.stderr
    assert json.loads(done.stdout)["counts"] == {"in": 3, "out": 2, "dropped": 0, "rejected": 1}
    done = subprocess.run([*command, "--preset", "no"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
