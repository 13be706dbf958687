"""Episodes of one document: the query's nearest earlier pairs, in the document's order, and every other rule in force."""

import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from typer.testing import CliRunner

from curate import images
from curate.demonstrations import AlignSettings, align
from curate.engine import Partition
from curate.engine import run as run_stage
from curate.episodes import EpisodeSettings, GuardSettings, Plan, build_episodes, lint
from curate.episodes.pool import Pool
from curate.errors import ConfigError
from curate.layout import Run
from curate.schema import Demonstration, Document, Image, Node, Provenance
from pipelines.cli import app
from tests.written import Write

Pages = dict[str, list[int]]
"""Nodes with a picture by document, in any order."""


def plan(shots: int = 2, **changes: Any) -> Plan:
    told: dict[str, Any] = {
        "format": "caption",
        "selector": "document",
        "order": "document",
        "shots": [shots],
        "answers": "free",
    }
    return Plan(**{**told, **changes})


def mined(made: Any, pages: Pages, **changes: Any) -> list[Demonstration]:
    """What align makes of such documents, here in the order of the nodes given."""
    places = [(page, node) for page, nodes in pages.items() for node in nodes]
    captions = {"format": "caption", "task": "caption", "question": "", **changes}
    return [
        made.demonstration(at, document_id=page, provenance=Provenance("made up", f"{page}.html#{node}"), **captions)
        for at, (page, node) in enumerate(places)
    ]


def built(
    made: Any, demos: list[Demonstration], chosen: Plan, ear: Any = None, vectors: Any = None, **guard: Any
) -> list[Any]:
    told = GuardSettings(**({"cosine": None} if vectors is None else {}), **guard)
    return made.build(Pool.of(demos, vectors), EpisodeSettings(episodes=[chosen], guard=told), ear)


def node_of(demos: list[Demonstration]) -> dict[str, int]:
    return {d.id: int(d.provenance.record.rpartition("#")[2]) for d in demos}


pages_of = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.lists(st.integers(0, 999), min_size=1, max_size=9, unique=True),
    min_size=1,
)


@settings(max_examples=60, deadline=None)
@given(pages=pages_of, shots=st.integers(0, 4))
def test_the_nearest_earlier_pairs_stand_in_the_documents_order(made: Any, pages: Pages, shots: int) -> None:
    demos = mined(made, pages)
    nodes, ear = node_of(demos), made.Ear()
    episodes = built(made, demos, plan(shots), ear)
    assert len(episodes) == sum(max(0, len(page) - shots) for page in pages.values())
    assert {reason for _, reason in ear.dropped} <= {"no_plan_fits"}
    for e in episodes:
        earlier = sorted(node for node in pages[e.query.document_id] if node < nodes[e.query.demonstration_id])
        assert [nodes[shot.demonstration_id] for shot in e.demonstrations] == earlier[len(earlier) - shots :]
        assert {shot.document_id for shot in e.demonstrations} <= {e.query.document_id}


@settings(max_examples=30, deadline=None)
@given(pages=pages_of, seed=st.integers(0, 99))
def test_the_order_of_the_records_in_the_run_changes_nothing(made: Any, pages: Pages, seed: int) -> None:
    demos = mined(made, pages)
    turned = [demos[at] for at in np.random.default_rng(seed).permutation(len(demos))]
    one, other = ({e.id for e in built(made, some, plan())} for some in (demos, turned))
    assert one == other


@settings(max_examples=60, deadline=None)
@given(pictures=st.lists(st.integers(0, 4), min_size=3, max_size=10), shots=st.integers(1, 3))
def test_every_other_rule_of_the_guard_holds(made: Any, pictures: list[int], shots: int) -> None:
    demos = [
        made.demonstration(
            at,
            image=picture,
            phash=f"{int(np.random.default_rng(picture).integers(2**63)):016x}",
            format="caption",
            document_id="page",
            provenance=Provenance("made up", f"page.html#{at}"),
        )
        for at, picture in enumerate(pictures)
    ]
    for e in built(made, demos, plan(shots)):
        refs = [shot.images[0].ref for shot in (*e.demonstrations, e.query)]
        assert len(set(refs)) == len(refs)


def test_a_picture_too_much_like_the_query_is_passed_over_for_the_next_earlier_one(made: Any) -> None:
    demos = mined(made, {"page": [1, 4, 9]})
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.02, 1.0]])
    ear = made.Ear()
    episodes = built(made, demos, plan(1), ear, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    shown = {e.query.demonstration_id: e.demonstrations[0].demonstration_id for e in episodes}
    assert shown == {demos[1].id: demos[0].id, demos[2].id: demos[0].id}
    assert ear.tallies["guard", "cosine"] == 1
    assert ear.tallies["guard", "document"] == 0


def test_the_documents_rule_holds_for_the_other_plans_of_the_same_build(made: Any) -> None:
    demos = mined(made, {name: list(range(6)) for name in "abcdef"})
    plans = [plan(2), plan(2, selector="random", order="random", answers="balanced")]
    pool = Pool.of(demos)
    episodes = made.build(pool, EpisodeSettings(episodes=plans, guard=GuardSettings(cosine=None)))
    kinds = defaultdict(set)
    for e in episodes:
        kinds[e.selector] |= {shot.document_id == e.query.document_id for shot in e.demonstrations}
    assert kinds == {"document": {True}, "random": {False}}


def test_sources_and_tasks_do_not_mix_in_a_document(made: Any) -> None:
    demos = mined(made, {"page": [1, 2, 3]})
    asked = mined(made, {"page": [1, 2, 3]}, format="open_qa", task="colour", question="Which colour?")
    asked = [made.demonstration(10 + at, **{**vars_of(d), "id": f"q{at}"}) for at, d in enumerate(asked)]
    other = [made.demonstration(20 + at, **{**vars_of(d), "id": f"o{at}", "source": "other"}) for at, d in enumerate(demos)]
    every = [*demos, *asked, *other]
    by = {d.id: d for d in every}
    for form in ("caption", "open_qa"):
        episodes = built(made, every, plan(1, format=form))
        assert len(episodes) == (4 if form == "caption" else 2)
        for e in episodes:
            pair = by[e.query.demonstration_id], by[e.demonstrations[0].demonstration_id]
            assert len({(d.source, d.task) for d in pair}) == 1


def vars_of(d: Demonstration) -> dict[str, Any]:
    keep = ("question", "answer", "task", "format", "document_id", "source", "provenance")
    return {name: getattr(d, name) for name in keep}


@pytest.mark.parametrize("record", ["page.html", "page.html#", "page.html#x", f"page.html#{'9' * 40}", ""])
def test_without_a_place_a_record_is_no_part_of_a_document(made: Any, record: str) -> None:
    demos = [*mined(made, {"page": [1, 2]}), *mined(made, {"page": [7]})]
    lost = made.demonstration(9, format="caption", document_id="page", provenance=Provenance("made up", record))
    episodes = built(made, [*demos[:2], lost], plan(1))
    assert [e.query.demonstration_id for e in episodes] == [demos[1].id]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "multiple_choice"}, "caption or open_qa"),
        ({"answers": "balanced"}, "answers: free"),
        ({"selector": "random"}, "goes with selector: document"),
    ],
)
def test_plans_that_a_document_cannot_serve_are_refused(made: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        built(made, mined(made, {"page": [1, 2, 3]}), plan(2, **changes))


def test_demonstrations_of_other_sources_alone_cannot_be_asked_for(made: Any) -> None:
    with pytest.raises(ConfigError, match=r"guard\.source"):
        built(made, mined(made, {"page": [1, 2, 3]}), plan(), source=True)


def test_what_was_asked_for_is_counted_and_does_not_fail(made: Any) -> None:
    demos = mined(made, {name: list(range(6)) for name in "abcdef"})
    episodes = built(made, demos, plan(2))
    report = lint(episodes)
    assert report.passed
    assert report.asked == {"same_document": 24}
    assert report.leaks["same_document"] == 0
    assert report.as_json()["asked"] == {"same_document": 24}


def page(run: Run, name: str, pictures: int) -> Document:
    """Text and captioned pictures by turns, all pictures unlike each other."""
    nodes = []
    for at in range(pictures):
        out, dice = io.BytesIO(), np.random.default_rng([at, *name.encode()])
        Pillow.fromarray(dice.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((64, 64)).save(out, "PNG")
        facts = images.verify(out.getvalue())
        image = Image(run.images.put(out.getvalue(), facts.extension), facts.width, facts.height, facts.phash)
        caption = f"Step {at} of the page {name}"
        nodes += [Node("text", text=f"Then comes step {at}."), Node("image", image=image, caption=caption)]
    return Document(name, "pages", "Steps", "CC0", "en", tuple(nodes), (), Provenance("pages", name, ("mine:1",)))


def test_aligned_pages_become_episodes_in_their_order_and_the_command_says_that_it_was_asked_for(
    tmp_path: Path,
) -> None:
    run = Run.at(tmp_path / "run")
    pages = [page(run, "z.html", 12), page(run, "a.html", 4)]
    run_stage(Write(), [Partition(one.id, [one]) for one in pages], run.root / "documents" / "pages")
    align(AlignSettings(), run)
    settings = EpisodeSettings(episodes=[plan(3)], guard=GuardSettings(cosine=None))
    assert build_episodes(run, settings).counts["out"] == 9 + 1
    for e in run.built_episodes():
        steps = [int(shot.answer.split()[1]) for shot in (*e.demonstrations, e.query)]
        assert steps == list(range(steps[-1] - 3, steps[-1] + 1))
        assert {shot.answer.rpartition(" ")[2] for shot in e.demonstrations} == {e.query.document_id}
    shown = CliRunner().invoke(app, ["lint-episodes", str(tmp_path / "run")])
    assert shown.exit_code == 0, shown.output
    assert "same document, asked for" in shown.output
    assert json.loads(run.episodes.read("lint.json"))["asked"] == {"same_document": 10}
