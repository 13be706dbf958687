"""The page shows what the manifests and episodes say, whole or partial, always in the same bytes."""

import base64
import dataclasses
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from curate.errors import InputError
from curate.layout import Run
from curate.report import ReportSettings, make_report, write_report
from curate.storage import Folder


def data_of(html: bytes) -> dict[str, Any]:
    """What the page's script reads."""
    found = re.search(rb'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def text_of(html: bytes) -> str:
    """The page's own words, without style, script and data, spaces joined."""
    bare = re.sub(rb"<(style|script)\b.*?</\1>", b"", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", bare.decode()).split())


def test_funnel_shows_counts_and_reasons_of_every_stage(whole_run: Run) -> None:
    text = text_of(make_report(whole_run, ReportSettings(max_episodes=5)).html)
    assert "685 pages → 540 documents" in text
    assert "dropped too few words 110 16 %" in text
    assert "rejected image truncated 2 0.2 %" in text
    assert "306 queries → 300 episodes" in text
    assert "guard exact image 18" in text
    assert "in 2 shards, 50.3 MB" in text
    assert "2 sources" in text


def test_similarities_and_shots_are_drawn_with_axes_and_units(whole_run: Run) -> None:
    html = make_report(whole_run, ReportSettings(max_episodes=5)).html.decode()
    assert "Histogram: demonstrations by cosine to the query" in html
    assert "<title>8 shots: 20 caption, 20 multiple choice, 20 open qa</title>" in html
    assert "900 demonstrations, median cosine 0.6" in html


def test_linter_stands_beside_chance_and_a_shortcut_is_named(whole_run: Run) -> None:
    text = text_of(make_report(whole_run, ReportSettings(max_episodes=5)).html)
    assert "These episodes do not pass." in text
    assert "44.0 % shortcut" in text
    assert "copy-last of the answer is right in 44.0%" in text
    assert "29 / 31" in text


def test_a_rule_that_the_page_does_not_know_is_shown_all_the_same(maker: Any) -> None:
    score = {"rule": "sorcery", "copies": "label", "accuracy": 0.9, "low": 0.8, "high": 0.95, "judged": True, "passed": False}
    cell = {
        "format": "open_qa",
        "shots": 1,
        "ways": 0,
        "episodes": 9,
        "chance": 0.5,
        "scores": [score, {**score, "rule": "constant"}],
    }
    maker.build([maker.episode(1)]).episodes.write("lint.json", json.dumps({"cells": [cell]}).encode())
    text = text_of(make_report(maker.run).html)
    assert "sorcery of the label" in text
    assert text.index("constant always the same") < text.index("sorcery of the label")


def test_equal_runs_give_equal_bytes_wherever_they_lie(whole_run: Run, tmp_path: Path) -> None:
    shutil.copytree(whole_run.root.local(), tmp_path / "elsewhere")
    first, second = write_report(whole_run), write_report(Run.at(tmp_path / "elsewhere"))
    assert first.read_bytes() == second.read_bytes()
    assert second == tmp_path / "elsewhere" / "report.html"


def test_another_seed_shows_another_sample(whole_run: Run) -> None:
    shown = [
        {card["id"] for card in data_of(make_report(whole_run, ReportSettings(max_episodes=60, seed=seed)).html)["episodes"]}
        for seed in (0, 1)
    ]
    assert len(shown[0]) == len(shown[1]) == 60
    assert shown[0] != shown[1]


def test_turns_stand_in_order_with_their_pictures(whole_run: Run) -> None:
    data = data_of(make_report(whole_run).html)
    assert len(data["episodes"]) == 240
    known = {episode.id: episode for episode in whole_run.built_episodes()}
    for card in data["episodes"][:40]:
        episode = known[card["id"]]
        asked = [shot.demonstration_id for shot in (*episode.demonstrations, episode.query)]
        assert [turn["demonstration"] for turn in card["turns"]] == asked
        assert all(len(turn["pictures"]) == 1 for turn in card["turns"])
        assert card["turns"][-1]["role"] == "query"


def test_a_picture_that_many_episodes_show_is_embedded_once(whole_run: Run) -> None:
    report = make_report(whole_run)
    pictures = data_of(report.html)["pictures"]
    assert len(pictures) == len(set(pictures)) == report.pictures == 40
    assert all(base64.b64decode(picture)[8:12] == b"WEBP" for picture in pictures)


def test_page_keeps_within_its_size_and_says_what_it_left_out(whole_run: Run) -> None:
    report = make_report(whole_run, ReportSettings(max_megabytes=0.2))
    assert len(report.html) <= 200_000
    assert 0 < report.shown < 240
    assert f"size limit left out {240 - report.shown}" in text_of(report.html)


def test_without_episodes_the_page_shows_what_there_is(maker: Any) -> None:
    maker.stage("documents/manual", 9, 7, {"too_few_words": 2})
    report = make_report(maker.run)
    text = text_of(report.html)
    assert "A run in progress" in text
    assert "9 pages → 7 documents" in text
    assert "none in this run" in text
    assert (report.episodes, report.shown) == (0, 0)


def test_an_empty_set_of_episodes_is_a_page_too(maker: Any) -> None:
    maker.build([], per_part=1)
    maker.stage("episodes", 3, 0, {"no_plan_fits": 3})
    assert "Showing 0 of 0" in text_of(make_report(maker.run).html)


def test_a_folder_without_stages_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished stage"):
        make_report(Run.at(tmp_path))


def test_an_unreadable_manifest_is_named_and_left_out(maker: Any) -> None:
    maker.stage("documents/manual", 9, 7, {"too_few_words": 2})
    (maker.run.root / "embeddings").write("manifest.json", b'{"stage": 1')
    text = text_of(make_report(maker.run).html)
    assert "left out of this page: embeddings/manifest.json" in text


def test_episodes_of_another_version_are_a_clear_error(maker: Any) -> None:
    import pyarrow as pa

    from curate.storage import table_bytes

    maker.build([maker.episode(1)])
    maker.run.episodes.write("part-00000.parquet", table_bytes(pa.table({"id": ["a"]})))
    with pytest.raises(InputError, match="episodes of this version"):
        make_report(maker.run)


def test_missing_and_damaged_pictures_leave_a_gap_and_are_counted(maker: Any) -> None:
    episode = maker.episode(2)
    refs = [shot.images[0].ref for shot in (*episode.demonstrations, episode.query)]
    store = maker.run.images
    store.folder.remove(store.name_of(refs[0]))
    store.folder.write(store.name_of(refs[1]), b"\x89PNG\r\n\x1a\nnot a picture")
    bent = dataclasses.replace(episode.query, images=(dataclasses.replace(episode.query.images[0], ref="../../x\0"),))
    report = make_report(maker.build([dataclasses.replace(episode, query=bent)]))
    assert report.missing_pictures == 3
    assert [turn["pictures"] for turn in data_of(report.html)["episodes"][0]["turns"]] == [[-1], [-1], [-1]]
    assert "3 pictures could not be shown" in text_of(report.html)


def test_only_the_style_and_script_of_the_page_itself_are_allowed(whole_run: Run) -> None:
    html = make_report(whole_run, ReportSettings(max_episodes=3)).html.decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy[1].replace("&#39;", "'").split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        inside = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert inside
        digest = base64.b64encode(hashlib.sha256(inside[1].encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert not re.search(r"https?://|\son\w+=|\sstyle=|<link|@import|url\(|innerHTML", html)


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def test_hostile_text_enters_as_text_everywhere(maker: Any) -> None:
    shot = maker.shot(3, "open_qa", HOSTILE, "support", demonstration_id=HOSTILE, document_id=HOSTILE, question=HOSTILE)
    fields = ("id", "concept", "format", "task", "selector", "order", "source", "licence")
    manifest = maker.stage("documents/x<b>", 5, 2, {HOSTILE: 2}, rejected={"half": 1}, tallies={HOSTILE: {HOSTILE: 4}})
    half = json.dumps({**vars(manifest), "rejected": {"\ud800": 1}}).encode()  # half a surrogate pair, legal in JSON
    (maker.run.root / "documents/x<b>").write("manifest.json", half)
    maker.build([maker.episode(1, demonstrations=(shot,), **dict.fromkeys(fields, HOSTILE))])
    maker.run.episodes.write("lint.json", json.dumps({"failures": [HOSTILE], "leaks": {HOSTILE: 1}}).encode())
    html = make_report(maker.run).html
    assert html.count(b"<script") == 2
    assert html.count(b"</script") == 2
    assert b"<img" not in html
    card = data_of(html)["episodes"][0]
    assert all(card[name] == HOSTILE for name in fields)
    assert card["turns"][0]["question"] == HOSTILE


def test_a_text_without_end_is_cut_with_a_remark(maker: Any) -> None:
    report = make_report(maker.build([maker.episode(0, concept="x" * 1_000_000)]))
    assert len(report.html) < 200_000
    assert data_of(report.html)["episodes"][0]["concept"].endswith("… (996,000 more characters)")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[" * 100_000, b'{"cells": [1, {"chance": "x"}], "failures": 3}'])
def test_a_linter_file_of_any_content_does_no_harm(maker: Any, content: bytes) -> None:
    maker.build([maker.episode(1)]).episodes.write("lint.json", content)
    assert b"Episodes" in make_report(maker.run).html


def test_a_verdict_on_other_episodes_is_called_stale(maker: Any) -> None:
    maker.build([maker.episode(1)]).episodes.write("lint.json", b'{"passed": true, "built": "00"}')
    assert "The linter saw other episodes" in text_of(make_report(maker.run).html)


def test_progress_is_told_part_by_part(whole_run: Run, listener: Any) -> None:
    make_report(whole_run, ReportSettings(max_episodes=7), listener)
    assert listener.told[0] == "start report 0/6"
    assert listener.told[1:-1] == [f"advance part-0000{i}.parquet" for i in range(6)]
    assert listener.told[-1] == "finish report 300 7"


def test_a_run_in_an_object_store_wants_a_local_file(whole_run: Run, tmp_path: Path) -> None:
    report = make_report(whole_run, ReportSettings(max_episodes=1))
    with pytest.raises(InputError, match="--out FILE"):
        report.save(Run(Folder("memory://bucket/run")))
    with pytest.raises(InputError, match="is a folder"):
        report.save(whole_run, tmp_path)
    assert report.save(whole_run, tmp_path / "new" / "page.html").read_bytes() == report.html
