"""The page of a plan needs nothing else, says what the report says, and lets no text become markup."""

from html.parser import HTMLParser
from typing import Any

import pytest

from curate.errors import InputError
from curate.report.mixing import LONGEST_TABLE, asked, curriculum_plot, held, mix_page
from curate.shards.plans import Plan, PlanManifest
from curate.storage import Folder

EVIL = '<img src=x onerror="alert(1)">'


def report(**more: Any) -> dict[str, Any]:
    """A report of a plan with two formats and a curriculum over three blocks."""
    track = {
        "axis": "shots",
        "values": ["0", "2"],
        "target": [[100.0, 0.0], [50.0, 50.0], [0.0, 100.0]],
        "realised": [[100.0, 0.0], [48.0, 52.0], [2.0, 98.0]],
    }
    rows = [
        {"axis": "format", "within": {}, "value": value, "requested": 50.0, "realised": share, "reason": reason}
        for value, share, reason in (("caption", 80.0, "too few"), ("open_qa", 20.0, ""))
    ]
    size = {"samples": 10, "distinct": 9, "units": 10.0, "available": 20, "supervised_tokens": 70, "image_tokens": 900}
    marginals = {"format": {"caption": {"samples": 8, "share": 80.0}, "open_qa": {"samples": 2, "share": 20.0}}}
    return {
        "unit": "sample", "tokens": "estimate", "tolerance": 0.5, "size": size, "requested": rows, "reasons": ["too few"],
        "notes": [], "curriculum": {"order": "curriculum", "blocks": 3, "worst": 2.0, "tracks": [track]},
        "marginals": marginals, "bands": {"coherence": [0.1, 0.2], "hardness": [0.1, 0.2]}, "values": {"format": 2},
        "sources": {"web": {"samples": 20, "drawn": 10, "repeats": 2, "rejected": {"not_json": 1}}}, **more,
    }  # fmt: skip


def plan(said: dict[str, Any]) -> Plan:
    return Plan(Folder.of("nowhere"), PlanManifest(1, 0, {"note": EVIL}, (), (4, 7, 10), said))


class Tags(HTMLParser):
    """Collects tags and words."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(said: dict[str, Any]) -> Tags:
    tags = Tags()
    tags.feed(mix_page(plan(said)).decode())
    return tags


def test_the_page_says_what_the_report_says_and_loads_nothing() -> None:
    page = mix_page(plan(report())).decode()
    tags = read(report())
    words = " ".join(" ".join(tags.words).split())
    for expected in ("A plan of 10 samples", "too few", "Some shares are not met.", "Shots over the plan", "80.0", "estimate"):
        assert expected in words
    assert not {"script", "img", "link", "iframe", "object"} & set(tags.tags)
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page.replace("&#39;", "'")


def test_no_text_becomes_markup() -> None:
    rows = [{"axis": "concept", "within": {EVIL: EVIL}, "value": EVIL, "requested": 1, "realised": 1, "reason": EVIL}]
    track = {"axis": EVIL, "values": [EVIL], "target": [[100.0]], "realised": [[100.0]]}
    said = report(
        requested=rows, reasons=[EVIL], notes=[EVIL], sources={EVIL: report()["sources"]["web"]}, tokens=EVIL,
        curriculum={"order": EVIL, "blocks": 1, "worst": 0.0, "tracks": [track]},
        marginals={"concept": {name: {"samples": 1, "share": 50.0} for name in (EVIL, "b")}}, values={"concept": 2},
    )  # fmt: skip
    assert "img" not in read(said).tags


def test_equal_plans_give_equal_bytes() -> None:
    assert mix_page(plan(report())) == mix_page(plan(report()))


def test_blocks_are_stacked_to_a_hundred_and_crossed_by_what_was_aimed_at() -> None:
    plot = curriculum_plot(report()["curriculum"]["tracks"][0])
    assert plot.picture.count("<rect") == 5  # one series in the first block, two in the others
    assert plot.picture.count('class="aim"') == 1  # only the second block aims inside the column
    assert ">100<" in plot.picture
    assert ">150<" not in plot.picture
    assert plot.rows[1] == ["2", "48.0", "52.0"]


def test_many_values_share_the_last_colour() -> None:
    shares = [[40.0, 30.0, *[30.0 / 8] * 8]] * 2
    track = {"axis": "concept", "values": [str(n) for n in range(10)], "target": shares, "realised": shares}
    plot = curriculum_plot(track)
    assert len(plot.legend) == 6
    assert plot.legend[-1] == "other"
    assert float(plot.rows[0][-1]) == pytest.approx(30 - 3 * 30 / 8, abs=0.06)


def test_long_lists_are_cut_and_counted() -> None:
    row = {"axis": "concept", "within": {}, "requested": 0.1, "realised": 0.1}
    rows = [{**row, "value": str(n), "reason": "off" if n == 299 else ""} for n in range(300)]
    (demand,) = asked(report(requested=rows))
    assert (len(demand.rows), demand.left_out) == (LONGEST_TABLE, 300 - LONGEST_TABLE)
    assert demand.rows[0][0]["reason"] == "off"
    (listed,) = held(report(values={"format": 500}))
    assert listed.left_out == 498


def test_a_plan_without_a_report_is_an_error() -> None:
    with pytest.raises(InputError, match="build it again"):
        mix_page(plan({}))
