"""What the items of every kind have in common: no answer without the query's picture, nothing that demonstrates itself."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from curate.benches import Item
from curate.benchmarks.baselines import BLIND, baselines
from curate.benchmarks.material import Training, read_material
from curate.errors import ConfigError, InputError
from curate.layout import Run
from curate.schema import Shot
from tests.benchmarks.small_world import demonstration, made, store, world


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return world(tmp_path_factory.mktemp("world"))


def groups(items: list[Item], shots: int) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.shots == shots:
            found[item.group].append(item)
    return found


def shots_of(item: Item) -> tuple[Shot, ...]:
    return (*item.episode.demonstrations, item.episode.query)


KINDS = [
    ("choice", {"ways": 2, "shots": [0, 1, 2]}),
    ("choice", {"ways": 3, "distractors": "sibling"}),
    ("choice", {"ways": 4, "distractors": "nearest"}),
    ("naming", {"ways": 3}),
    ("question", {"ways": 3}),
]


@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_an_answerer_that_sees_no_query_picture_is_at_chance(run: Run, kind: str, more: dict) -> None:
    for scores in baselines(made(run, kind, **more).items, "choice").values():
        blind = {name: score for name, score in scores.items() if name in BLIND}
        assert blind
        assert all(score == pytest.approx(scores["chance"], abs=1e-4) for score in blind.values()), scores


@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_questions_of_a_block_differ_in_the_query_picture_alone(run: Run, kind: str, more: dict) -> None:
    seen: dict[tuple, dict] = defaultdict(dict)
    for item in made(run, kind, **more).items:
        query = item.episode.query
        turns = tuple((s.demonstration_id, s.question, s.answer, s.options) for s in item.episode.demonstrations)
        block = item.group.split("-")[0]
        seen[block, item.shots, item.episode.order, turns, query.question, query.options][query.answer] = query.images[0].ref
    for told in seen.values():
        assert len(told) == len(set(told.values())) == more["ways"]


@pytest.mark.parametrize(("kind", "more"), [*KINDS, ("caption", {})])
def test_the_same_queries_at_every_number_of_shots_and_nested_demonstrations(run: Run, kind: str, more: dict) -> None:
    items = made(run, kind, **more).items
    by_shots = {shots: groups(items, shots) for shots in {item.shots for item in items}}
    few, many = by_shots[1], by_shots[2]
    assert few.keys() == many.keys()
    for name in few:
        shown = [{s.demonstration_id for s in of[name][0].episode.demonstrations} for of in (few, many)]
        assert shown[0] < shown[1]
        assert few[name][0].episode.query.images == many[name][0].episode.query.images


@pytest.mark.parametrize(("kind", "more"), [*KINDS, ("caption", {"nearest": True})])
def test_no_picture_demonstrates_itself_or_stands_twice(run: Run, kind: str, more: dict) -> None:
    for item in made(run, kind, **more).items:
        refs = [shot.images[0].ref for shot in shots_of(item)]
        assert len(set(refs)) == len(refs)


def test_letters_name_the_options_and_labels_the_classes(run: Run) -> None:
    for item in made(run, "choice", ways=3).items:
        assert item.choices == ("A", "B", "C")
        assert item.answers == (item.episode.query.answer,)
        for shot in shots_of(item):
            assert shot.options["ABC".index(shot.answer)] == shot.label
            assert all(text in shot.question for text in shot.options)
        positive = [shot.label for shot in item.episode.demonstrations if shot.role == "positive"]
        assert positive == [item.episode.query.label] * item.shots


def test_copying_is_right_in_one_arrangement_of_each_position(run: Run) -> None:
    for group in groups(made(run, "choice", ways=3).items, 2).values():
        for at in (0, -1):
            assert sum(item.episode.demonstrations[at].answer == item.answers[0] for item in group) == len(group) / 3


def test_siblings_share_their_broader_concept(run: Run) -> None:
    for item in made(run, "choice", distractors="sibling").items:
        assert len({int(name.split()[1]) % 2 for name in item.episode.query.options}) == 1


def test_classes_can_be_taken_and_left_out_by_pattern_and_level(run: Run) -> None:
    items = made(run, "choice", only=["THING 1*"], without=["thing 11"]).items
    assert {name for item in items for name in item.episode.query.options} == {"thing 1", "thing 10"}
    kinds = made(run, "choice", level=1).items
    assert {name for item in kinds for name in item.episode.query.options} == {"kind 0", "kind 1"}


def test_queries_and_demonstrations_come_from_their_sources(run: Run) -> None:
    material = read_material(run.root.uri, Training())
    source = {d.id: d.source for d in material.demonstrations}
    for item in made(material, "choice", sources=["inked"], support=["painted"]).items:
        assert [source[shot.demonstration_id] for shot in shots_of(item)] == ["painted"] * 2 * item.shots + ["inked"]
    for item in made(material, "choice", guard={"source": True}).items:
        *shown, query = [source[shot.demonstration_id] for shot in shots_of(item)]
        assert query not in shown


def test_made_up_names_stand_in_the_demonstrations_alone_and_are_new_in_every_block(run: Run) -> None:
    material = replace(read_material(run.root.uri, Training()), words=frozenset())
    used: dict[str, str] = {}
    for item in made(material, "naming", ways=3).items:
        assert {shot.answer for shot in item.episode.demonstrations} == set(item.choices)
        assert len({len(word) for word in item.choices}) == 1
        assert not any(word in item.episode.query.question for word in item.choices)
        for word in item.choices:
            assert used.setdefault(word, item.group.split("-")[0]) == item.group.split("-")[0]
    trained = replace(material, words=frozenset(used))
    assert not used.keys() & {word for item in made(trained, "naming", ways=3).items for word in item.choices}


def test_answers_to_one_question_stand_against_each_other(run: Run) -> None:
    items = made(run, "question", ways=3, shots=[0, 1]).items
    assert {item.choices and tuple(sorted(item.choices)) for item in items} == {("blue", "green", "red")}
    assert all("Which colour?" in item.episode.query.question for item in items)
    with pytest.raises(InputError, match="has no questions of weight"):
        made(run, "question", tasks=["weight"])


def test_captions_keep_all_that_is_said_of_a_picture_and_show_no_equal_one(tmp_path: Path) -> None:
    run = Run.at(tmp_path)
    rows = [demonstration(run, at, "x", answer=f"A {at // 2}.", task="caption", format="caption") for at in range(8)]
    rows.append(replace(rows[0], id="again", answer="Another way to say it."))
    items = made(store(run, rows), "caption", shots=[0, 2], queries=99).items
    by_query = {item.episode.query.demonstration_id: item for item in items if item.shots}
    assert len(by_query) == 8
    assert by_query["d00000"].answers == ("A 0.", "Another way to say it.")
    for item in by_query.values():
        assert item.answers[0] not in {shot.answer for shot in item.episode.demonstrations}
        assert (item.ways, item.choices) == (0, ())


def test_nearest_captions_stand_with_the_most_alike_last(run: Run) -> None:
    for item in made(run, "caption", nearest=True, shots=[4]).items:
        near = [shot.similarity for shot in item.episode.demonstrations]
        assert near == sorted(near)


def test_near_duplicates_and_documents_stay_apart(tmp_path: Path) -> None:
    run = Run.at(tmp_path)
    rows = [demonstration(run, at, f"thing {at % 2}", document_id=f"page {at // 4}") for at in range(12)]
    twin = rows[1].images[0]
    rows[5] = replace(rows[5], images=(replace(rows[5].images[0], phash=f"{int(twin.phash, 16) ^ 1:016x}"),))
    for item in made(store(run, rows), "choice", shots=[2], queries=4).items:
        query = item.episode.query
        assert query.document_id not in {shot.document_id for shot in item.episode.demonstrations}
        assert not {"d00001", "d00005"} <= {shot.demonstration_id for shot in shots_of(item)}


def test_no_spec_lets_a_picture_demonstrate_itself(tmp_path: Path) -> None:
    run = Run.at(tmp_path)
    rows = [demonstration(run, at, f"thing {at % 2}") for at in range(6)]
    rows += [replace(row, id=f"{row.id}-again") for row in rows]
    off = {"itself": False, "exact_image": False, "perceptual_bits": None, "document": False, "twice": False}
    for item in made(store(run, rows), "choice", shots=[2], queries=4, guard=off).items:
        query = item.episode.query.images[0].ref
        assert query not in {shot.images[0].ref for shot in item.episode.demonstrations}


def test_two_true_classes_never_meet(tmp_path: Path) -> None:
    run = Run.at(tmp_path)
    rows = [demonstration(run, at, ("bird", "robin", "birds")[at % 3]) for at in range(15)]
    rows = [replace(d, concepts=("robin", "bird")) if d.concepts == ("robin",) else d for d in rows]
    with pytest.raises(InputError, match="gives no question"):
        made(store(run, rows), "choice")


def test_what_cannot_be_asked_is_told(run: Run) -> None:
    with pytest.raises(InputError, match="2 must go together"):
        made(run, "choice", shots=[9])
    with pytest.raises(InputError, match="did you mean 'inked'"):
        made(run, "choice", sources=["ink"])
    with pytest.raises(ConfigError, match="shots"):
        made(run, "naming", shots=[0, 1])


def test_another_seed_asks_otherwise_and_the_same_seed_the_same(run: Run) -> None:
    assert made(run, "choice").items == made(run, "choice").items
    assert made(run, "choice").items != made(run, "choice", seed=1).items


def test_without_vectors_there_is_no_similarity_and_nothing_is_nearest(tmp_path: Path) -> None:
    run = Run.at(tmp_path)
    store(run, [demonstration(run, at, f"thing {at % 4}") for at in range(16)])
    items = made(run, "choice").items
    assert {shot.similarity for item in items for shot in shots_of(item)} == {None}
    assert "knn" not in baselines(items, "choice")["1"]
    for more in ({"distractors": "nearest"}, {"guard": {"cosine": 0.9}}):
        with pytest.raises(InputError, match="has no embeddings"):
            made(run, "choice", **more)
