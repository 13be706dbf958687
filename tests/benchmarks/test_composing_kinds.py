"""Counting and operator benchmarks: which answerers without a query picture can be right, and how often."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from pydantic import ValidationError

from curate.benches import Item
from curate.benchmarks.baselines import BLIND, baselines
from curate.benchmarks.kinds import KINDS, Made
from curate.benchmarks.kinds.operators import OPERATORS, Numbers
from curate.benchmarks.material import Material
from curate.errors import InputError
from curate.layout import Run
from curate.settings import build
from tests.benchmarks.test_composing import drawing, shown
from tests.benchmarks.test_importing import Colours

COLOURS = ("#c02020", "#2060c0", "#208040", "#a05010", "#702080", "#107080", "#b04070", "#505010", "#3030a0")


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Material:
    """A run of nine balls, each a concept of its own."""
    run = Run.at(tmp_path_factory.mktemp("run"))
    rows = [shown(run.images.put(drawing(colour), "png"), f"ball{at}") for at, colour in enumerate(COLOURS)]
    return Material(run, {}, rows, None, [""] * len(rows))  # type: ignore[arg-type]  # composing asks for no arrays


def made(material: Material, kind: str, **more: object) -> Made:
    """A benchmark's items."""
    spec = build(
        KINDS.get(kind).settings, {"name": "bench", "kind": kind, "demonstrations": "run", "shots": [0, 1, 2], **more}
    )
    return KINDS.get(kind).build(spec, material, 0)


def by_group(items: list[Item], shots: int) -> dict[str, list[Item]]:
    """Items of a number of shots, by group."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.shots == shots:
            groups[item.group].append(item)
    return groups


@pytest.mark.parametrize("answers", ["digits", "words", "pseudo"])
def test_no_rule_on_the_demonstrations_counts(material: Material, answers: str) -> None:
    items = made(material, "counting", ways=3, queries=6, answers=answers).items
    for shots, scores in baselines(items, "choice").items():
        assert all(scores.get(name, 1 / 3) == pytest.approx(1 / 3, abs=1e-3) for name in BLIND), (shots, scores)


def test_every_count_stands_in_every_place_of_the_demonstrations(material: Material) -> None:
    items = made(material, "counting", ways=3, queries=6, counts=[2, 3, 5]).items
    for group in by_group(items, 2).values():
        places = Counter(
            at for item in group for at, shot in enumerate(item.episode.demonstrations) if shot.role == "positive"
        )
        assert len(group) == 3
        assert sorted(places.values()) == [1] * 6


def test_demonstrations_say_what_they_show_and_show_another_object_than_the_query(material: Material) -> None:
    result = made(material, "counting", ways=2, queries=4, answers="pseudo")
    for item in result.items:
        words = {shot.label: shot.answer for shot in item.episode.demonstrations}
        query = item.episode.query
        assert len(set(words.values())) == len(words)
        assert words.get(query.label, query.answer) == query.answer
        assert query.demonstration_id not in {shot.demonstration_id for shot in item.episode.demonstrations}
        assert query.answer in item.choices
        assert query.label not in item.choices


def test_near_counts_are_neighbours(material: Material) -> None:
    items = made(material, "counting", ways=2, queries=8, distractors="near", counts=[1, 3, 6]).items
    assert {tuple(sorted(map(int, item.choices))) for item in items} == {(1, 3), (3, 6)}


def test_pictures_are_the_same_at_every_number_of_shots_and_come_with_bytes_and_licence(material: Material) -> None:
    result = made(material, "counting", ways=2, queries=4)
    one, two = (by_group(result.items, shots) for shots in (1, 2))
    for name, group in one.items():
        few, many = ({shot.images for shot in item.episode.demonstrations} for item in (group[0], two[name][0]))
        assert few < many
        assert group[0].episode.query == two[name][0].episode.query
    refs = {
        image.ref
        for item in result.items
        for shot in (*item.episode.demonstrations, item.episode.query)
        for image in shot.images
    }
    assert refs == set(result.pictures) == set(result.licences)
    assert set(result.licences.values()) == {"CC0"}


@pytest.mark.parametrize("kind", ["counting", "operators"])
def test_equal_arguments_give_equal_items(material: Material, kind: str) -> None:
    one, other = (made(material, kind, queries=4) for _ in range(2))
    assert one.items == other.items
    assert one.pictures == other.pictures


def test_what_the_demonstrations_of_a_group_say_is_the_same_under_every_operator(material: Material) -> None:
    """So whatever reads their words only is right in one of three at most."""
    items = made(material, "operators", queries=6, shots=[0, 1, 3]).items
    for shots in (1, 3):
        for group in by_group(items, shots).values():
            said = {(item.id.endswith("-"), tuple(shot.answer for shot in item.episode.demonstrations)) for item in group}
            assert len(said) == len({item.id.endswith("-") for item in group})
            right = Counter(item.answers[0] for item in group)
            assert len(right) == 3
            assert len(set(right.values())) == 1
            assert set(right) == set(group[0].choices)
    for scores in baselines(items, "choice").values():
        assert all(scores[name] <= 0.334 for name in BLIND if name in scores)


def test_every_demonstration_fits_its_operator_and_no_other() -> None:
    numbers = Numbers(("sum", "difference", "product"), 9)
    assert len(numbers.values) > 4
    for operator in numbers.operators:
        for value in numbers.values:
            for pair in numbers.giving(operator, value):
                assert [OPERATORS[name](*pair) for name in numbers.operators].count(value) == 1
                assert OPERATORS[operator](*pair) == value
    assert all(len(set(numbers.results(pair))) == 3 and max(numbers.results(pair)) <= 9 for pair in numbers.pairs)


@pytest.mark.parametrize(("pictures", "count"), [("two", 2), ("one", 1)])
def test_operands_are_two_pictures_or_the_halves_of_one(material: Material, pictures: str, count: int) -> None:
    items = made(material, "operators", queries=2, pictures=pictures, operators=["sum", "larger"]).items
    assert {len(shot.images) for item in items for shot in (*item.episode.demonstrations, item.episode.query)} == {count}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("counting", {"counts": [1, 2], "ways": 3}),
        ("operators", {"operators": ["sum"]}),
        ("operators", {"operators": ["sum", "sum"]}),
        ("operators", {"most": 3}),
    ],
)
def test_settings_that_ask_nothing_are_refused(kind: str, more: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        KINDS.get(kind).settings.model_validate({"name": "b", "kind": kind, "demonstrations": "run", **more})


def test_a_run_without_cutouts_is_an_error_that_says_what_is_wanted(tmp_path: Path) -> None:
    run = Run.at(tmp_path)
    rows = [shown(run.images.put(drawing(mode="RGB"), "png"), f"b{at}") for at in range(3)]
    with pytest.raises(InputError, match="transparent"):
        made(Material(run, {}, rows, None, [""] * 3), "counting")  # type: ignore[arg-type]


def test_likeness_is_looked_up_where_an_encoder_is_named(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.encoders.load.load_encoder", lambda name, space: Colours())
    for kind in ("counting", "operators"):
        items = made(material, kind, queries=4, encoder="colours").items
        near = [shot.similarity for item in items for shot in item.episode.demonstrations]
        assert all(likeness is not None and -1 <= likeness <= 1.00001 for likeness in near)
        assert all(item.episode.query.similarity is None for item in items)
