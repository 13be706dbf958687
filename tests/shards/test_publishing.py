"""A version is whole or not there, goes on after an interruption, and never changes; its card tells the truth, harmlessly."""

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from curate.engine import MANIFEST, StageManifest
from curate.errors import ConfigError, InputError, IntegrityError, StorageError
from curate.layout import Run
from curate.schema import as_json
from curate.shards import ShardSettings, publish, pull, read, verify, write_shards
from curate.shards.release import RELEASE, Release, parse_version
from curate.shards.targets import PARTIAL, FolderTarget
from curate.storage import Folder
from pipelines.cli import app

SMALL = ShardSettings(max_episodes=6)


@pytest.fixture
def run(mixed_run: Run) -> Run:
    write_shards(mixed_run, SMALL)
    return mixed_run


@pytest.fixture(params=["folder", "file", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    name = uuid.uuid4().hex
    return {"folder": f"{tmp_path}/{name}", "file": f"file://{tmp_path}/{name}", "memory": f"memory://{name}"}[request.param]


def front_matter(text: str) -> dict[str, Any]:
    front: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return front


def test_a_published_version_is_whole_and_lies_in_its_folder(run: Run, target: str) -> None:
    done = publish(run, target, "1.0.0")
    folder = Folder.of(target) / "1.0.0"
    release = Release.load(folder)
    assert verify(folder) == []
    assert set(folder.names()) == {*release.files, RELEASE}
    assert set(done.sent) == set(release.files)
    assert {f"part-0000{i}.tar" for i in range(4)} | {"README.md", MANIFEST, "provenance.json"} <= set(release.files)
    assert [s.json for s in read(folder)] == [s.json for s in read(run.root)]
    assert front_matter((Folder.of(target)).read("README.md").decode())["configs"][0]["data_files"] == [
        {"split": "train", "path": "1.0.0/part-*.tar"}
    ]


def test_an_interrupted_upload_goes_on_and_is_not_visible_before_its_end(
    run: Run, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sent = FolderTarget._copy, list[str]()

    def breaking(self: FolderTarget, version: str, upload: Any) -> None:
        if upload.name == "part-00002.tar":
            raise OSError("connection reset by peer")
        real(self, version, upload)

    monkeypatch.setattr(FolderTarget, "_copy", breaking)
    with pytest.raises(StorageError, match=r"connection reset.*run again"):
        publish(run, target, "1.0.0")
    folder = Folder.of(target) / "1.0.0"
    assert not folder.exists(MANIFEST)
    with pytest.raises(InputError, match="no published version"):
        pull(target, "nowhere")

    def counting(self: FolderTarget, version: str, upload: Any) -> None:
        sent.append(upload.name)
        real(self, version, upload)

    monkeypatch.setattr(FolderTarget, "_copy", counting)
    done = publish(run, target, "1.0.0")
    assert "part-00000.tar" not in sent
    assert {"part-00000.tar", "part-00001.tar"} <= set(done.skipped)
    assert sent[-2:] == [RELEASE, MANIFEST]
    assert not folder.exists(PARTIAL)
    assert verify(folder) == []


def test_what_was_cut_short_in_the_target_is_sent_again(run: Run, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderTarget, "finish", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        publish(run, target, "1.0.0")
    monkeypatch.undo()
    folder = Folder.of(target) / "1.0.0"
    folder.write("part-00001.tar", folder.read("part-00001.tar")[:-9])
    if folder.is_local:
        folder.local(".tmp-left").write_bytes(b"of a killed process")
    assert [name for name in publish(run, target, "1.0.0").sent if name.endswith(".tar")] == ["part-00001.tar"]
    assert verify(folder) == []
    assert not [name for name in folder.sizes() if name.startswith(".")]


def test_the_same_content_again_changes_nothing_and_other_content_is_refused(run: Run, target: str, pool: Any) -> None:
    publish(run, target, "1.0.0")
    root = Folder.of(target)
    before = {name: root.read(name) for name in root.names()}
    assert publish(run, target, "1.0.0").sent == ()
    assert {name: root.read(name) for name in root.names()} == before
    write_shards(run, ShardSettings(max_episodes=5))
    with pytest.raises(InputError, match=r"never changes; raise --version"):
        publish(run, target, "1.0.0")
    assert {name: root.read(name) for name in root.names()} == before
    publish(run, target, "1.1.0")
    assert {name: root.read(name) for name in before if name != "README.md"} == {
        name: data for name, data in before.items() if name != "README.md"
    }


def test_the_card_at_the_top_is_that_of_the_highest_version(run: Run, target: str) -> None:
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        publish(run, target, version)
    assert b"1.10.0/part-" in Folder.of(target).read("README.md")


def test_a_readme_of_somebody_else_is_left_alone(run: Run, target: str) -> None:
    Folder.of(target).write("README.md", b"# mine\n")
    publish(run, target, "1.0.0")
    assert Folder.of(target).read("README.md") == b"# mine\n"


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(run: Run, target: str) -> None:
    done = publish(run, target, "1.0.0", dry_run=True)
    assert "part-00000.tar" in done.sent
    assert done.bytes_sent > run.shards.size("part-00000.tar")
    assert Folder.of(target).names() == []


def test_a_damaged_shard_is_never_published(run: Run, target: str) -> None:
    path = run.shards.local("part-00001.tar")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match=r"part-00001.tar is not what its manifest says"):
        publish(run, target, "1.0.0")
    assert not Folder.of(target).exists(f"1.0.0/{MANIFEST}")


@pytest.mark.parametrize("version", ["", "1", "1.0", "v1.0.0", "1.0.0/..", "../1.0.0", "01.0.0", "1.0.0\n", "1.0.0-rc1"])
def test_a_version_that_is_none_is_refused(run: Run, tmp_path: Path, version: str) -> None:
    with pytest.raises(ConfigError, match=r"MAJOR.MINOR.PATCH"):
        publish(run, str(tmp_path / "t"), version)


def test_versions_compare_as_numbers() -> None:
    assert parse_version("1.10.0") > parse_version("1.9.9")


def test_a_full_disk_and_a_forbidden_place_are_one_clear_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="no space left"):
            publish(run, str(tmp_path / "t"), "1.0.0")
    assert not list((tmp_path / "t").rglob(".tmp-*"))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        publish(run, str(tmp_path / "file"), "1.0.0")


def test_an_unfinished_run_or_an_empty_one_is_not_published(pool: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        publish(pool.run, str(tmp_path / "t"), "1.0.0")
    pool.build([pool.episode(1)])
    for name in pool.run.images.folder.names():
        pool.run.images.folder.remove(name)
    write_shards(pool.run)
    with pytest.raises(InputError, match="nothing to publish"):
        publish(pool.run, str(tmp_path / "t"), "1.0.0")


def test_the_card_has_counts_sources_licences_filters_and_lint(run: Run, tmp_path: Path) -> None:
    manifest = StageManifest.load(run.episodes)
    manifest.dropped, manifest.counts = {"same_image": 3}, {**manifest.counts, "in": 23, "dropped": 3}
    manifest.save(run.episodes)
    run.episodes.write("lint.json", json.dumps({"baselines": [{"name": "copy_first", "accuracy": 0.5123}]}).encode())
    StageManifest("embed", "1", {"encoder": "offline"}, {}, {}, {"in": 5, "out": 5}).save(run.embeddings)
    write_shards(run, SMALL)
    publish(run, str(tmp_path / "toy"), "1.0.0")
    card = (tmp_path / "toy/1.0.0/README.md").read_text()
    front = front_matter(card)
    assert front["license"] == "cc0-1.0"
    assert front["size_categories"] == ["n<1K"]
    assert {"image-text-to-text", "image-to-text"} <= set(front["task_categories"])
    text = MarkdownIt("commonmark").enable("table").render(card.split("---\n", 2)[2])
    for piece in ("toy", "20 in-context", "stamps", "CC0-1.0", "same_image", "copy_first", "0.5123", "not CLIP", "concept 1"):
        assert piece in text, piece


def test_the_linters_cells_become_a_table_and_a_failed_check_a_known_limit(run: Run, tmp_path: Path) -> None:
    score = {"rule": "copy-last", "accuracy": 0.75, "low": 0.7, "high": 0.8, "judged": True, "passed": False}
    sound = {**score, "rule": "constant", "accuracy": 0.5, "passed": True}
    cell = {"format": "multiple_choice", "shots": 2, "ways": 2, "chance": 0.5, "scores": [sound, score]}
    run.episodes.write("lint.json", json.dumps({"passed": False, "cells": [cell]}).encode())
    publish(run, str(tmp_path / "toy"), "1.0.0")
    card = (tmp_path / "toy/README.md").read_text()
    assert "| multiple&#95;choice | 2 | 2 | 0.500 | copy-last | 0.750 (0.700 to 0.800) | NO |" in card
    assert "The shortcut check failed" in card


@pytest.mark.parametrize("lint", [[], {}, {"cells": [3]}, {"cells": [{"scores": []}]}, "x", {"cells": "x"}])
def test_a_lint_result_of_another_shape_breaks_no_card(run: Run, tmp_path: Path, lint: Any) -> None:
    run.episodes.write("lint.json", json.dumps(lint).encode())
    publish(run, str(tmp_path / "toy"), "1.0.0")
    assert "## Shortcut check" in (tmp_path / "toy/README.md").read_text()


HOSTILE = (
    "<script>alert(1)</script> [x](javascript:alert(1)) ![i](http://evil/x.png) | a | b |\n\n# big `code` **b** "
    "https://evil.test www.evil.test me@evil.test \u202e gone"
)


def test_no_text_of_a_document_does_anything_in_the_card(pool: Any, tmp_path: Path) -> None:
    bad = replace(pool.episode(0), concept=HOSTILE, source=HOSTILE, licence=HOSTILE + "\n---\nlicense: mit", task=HOSTILE)
    pool.build([bad, pool.episode(1)])
    pool.run.episodes.write("lint.json", json.dumps({HOSTILE: HOSTILE}).encode())
    write_shards(pool.run)
    publish(pool.run, str(tmp_path / "t"), "1.0.0")
    card = (tmp_path / "t/README.md").read_text()
    assert front_matter(card)["license"] == "other"
    body = card.split("---\n", 2)[2]
    html = MarkdownIt("gfm-like", {"linkify": True, "html": True}).render(body) if _linkify() else _commonmark(body)
    for harm in ("<script", "<a ", "<img", "<strong>", "<code>code"):
        assert harm not in html, harm
    assert html.count("<h1>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def _linkify() -> bool:
    try:
        import linkify_it  # noqa: F401
    except ImportError:
        return False
    return True


def _commonmark(body: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(body))


@pytest.mark.parametrize("part", ["", "1.0.0"])
def test_datasets_loads_a_published_folder_by_its_card_alone(run: Run, tmp_path: Path, part: str) -> None:
    import datasets

    publish(run, str(tmp_path / "toy"), "1.0.0")
    loaded = datasets.load_dataset(str(tmp_path / "toy" / part), split="train", cache_dir=str(tmp_path / "cache"))
    episodes = list(run.built_episodes())
    assert len(loaded) == len(episodes)
    for row, episode in zip(loaded, episodes, strict=True):
        assert {key: row["json"][key] for key in as_json(episode)} == as_json(episode)
        assert all(row[suffix] is not None for suffix in row["json"]["members"])


def test_the_command_publishes_and_pulls(run: Run, tmp_path: Path) -> None:
    call = CliRunner().invoke
    sent = call(app, ["publish", run.root.uri, str(tmp_path / "t"), "--version", "1.0.0", "--json"])
    assert sent.exit_code == 0, sent.stderr
    assert json.loads(sent.stdout)["version"] == "1.0.0"
    got = call(app, ["pull", str(tmp_path / "t"), str(tmp_path / "d"), "--json"])
    assert got.exit_code == 0, got.stderr
    assert verify(tmp_path / "d") == []
    assert call(app, ["publish", run.root.uri, str(tmp_path / "t")]).exit_code == 2
    assert isinstance(call(app, ["publish", run.root.uri, "hf://models/x", "--version", "1.0.0"]).exception, ConfigError)
    assert isinstance(call(app, ["publish", run.root.uri, "nosuch://x", "--version", "1.0.0"]).exception, InputError)
