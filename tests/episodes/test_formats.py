"""What the turns of an episode say is complete, consistent and answerable."""

from collections import Counter
from typing import Any

import pytest

from curate.episodes.pool import Pool
from curate.episodes.settings import EpisodeSettings, Plan
from curate.schema import Episode, arrow_schema, from_table, to_table

PLANS = [
    Plan(format="multiple_choice", selector="rices", shots=[0, 1, 2, 4], ways=[2, 4]),
    Plan(format="multiple_choice", selector="concept", shots=[3, 8], ways=3),
    Plan(format="classification", selector="random", shots=[2, 6], ways=2, labels="pseudo"),
    Plan(format="classification", selector="rices", shots=[0, 4], ways=[2, 4]),
    Plan(format="open_qa", selector="random", shots={1: 0.5, 4: 0.5}),
    Plan(format="open_qa", selector="rices", order="similar_first", shots=[8]),
]


@pytest.fixture(scope="module")
def episodes(made: Any) -> list[Episode]:
    return made.build(made.make_pool(2500), EpisodeSettings(episodes=PLANS))  # type: ignore[no-any-return]


def of(episodes: list[Episode], form: str) -> list[Episode]:
    found = [e for e in episodes if e.format == form]
    assert found
    return found


def test_shots_are_as_asked(episodes: list[Episode]) -> None:
    asked = {
        ("multiple_choice", "rices"): {0, 1, 2, 4},
        ("multiple_choice", "concept"): {3, 8},
        ("classification", "random"): {2, 6},
        ("classification", "rices"): {0, 4},
        ("open_qa", "random"): {1, 4},
        ("open_qa", "rices"): {8},
    }
    for (form, selector), shots in asked.items():
        counts = Counter(len(e.demonstrations) for e in episodes if (e.format, e.selector) == (form, selector))
        assert set(counts) == shots
        assert max(counts.values()) < 1.3 * min(counts.values())


def test_every_turn_of_a_choice_shows_every_option_once_and_its_letter_means_its_label(episodes: list[Episode]) -> None:
    for e in of(episodes, "multiple_choice"):
        for turn in (*e.demonstrations, e.query):
            assert sorted(turn.options) == sorted(set(e.query.options))
            assert turn.options["ABCD".index(turn.answer)] == turn.label
            assert all(turn.question.count(f"{letter}") for letter in "ABCD"[: len(turn.options)])
            assert all(option in turn.question for option in turn.options)
        assert e.query.label == e.concept


def test_what_a_turn_is_labelled_is_what_its_picture_shows(episodes: list[Episode], made: Any) -> None:
    pool = made.make_pool(2500)
    shows = {name: pool.names[code] for name, code in zip(pool.ids, pool.concepts, strict=True)}
    for e in of(episodes, "multiple_choice"):
        assert all(turn.label == shows[turn.demonstration_id] for turn in (*e.demonstrations, e.query))


def test_with_as_many_shots_as_options_every_option_is_demonstrated(episodes: list[Episode]) -> None:
    for e in [*of(episodes, "multiple_choice"), *of(episodes, "classification")]:
        shown = Counter(shot.label for shot in e.demonstrations)
        if len(e.demonstrations) >= len(e.query.options):
            assert set(shown) == set(e.query.options)
            assert max(shown.values()) - min(shown.values()) <= 1
        assert all((shot.role == "positive") == (shot.label == e.query.label) for shot in e.demonstrations)


def test_one_shot_shows_the_right_option_as_often_as_chance(episodes: list[Episode]) -> None:
    one = [e for e in of(episodes, "multiple_choice") if len(e.demonstrations) == 1]
    for ways in (2, 4):
        shown = [e.demonstrations[0].role == "positive" for e in one if len(e.query.options) == ways]
        assert abs(sum(shown) / len(shown) - 1 / ways) < 0.05


def test_made_up_labels_are_consistent_within_an_episode_and_drawn_anew_for_each(episodes: list[Episode], made: Any) -> None:
    pool = made.make_pool(2500)
    shows = {name: pool.names[code] for name, code in zip(pool.ids, pool.concepts, strict=True)}
    meanings: dict[str, set[str]] = {}
    for e in [e for e in of(episodes, "classification") if e.selector == "random"]:
        turns = (*e.demonstrations, e.query)
        assert len({(turn.label, shows[turn.demonstration_id]) for turn in turns}) == len(e.query.options)
        assert all(turn.answer == turn.label and turn.label not in pool.names for turn in turns)
        meanings.setdefault(e.concept, set()).add(e.query.label)
    assert all(len(words) > 5 for words in meanings.values())


def test_made_up_labels_can_be_few(made: Any) -> None:
    plan = Plan(format="classification", selector="random", shots=[4], ways=4, labels="pseudo")
    built = made.build(made.make_pool(600), EpisodeSettings(episodes=[plan], pseudowords=32))
    assert len({word for e in built for word in e.query.options}) == 32
    assert all(len(set(e.query.options)) == 4 for e in built)


def test_orders_are_kept_within_a_label(episodes: list[Episode]) -> None:
    for e in [e for e in of(episodes, "open_qa") if e.order == "similar_first"]:
        cosines = [s.similarity for s in e.demonstrations if s.answer != e.query.answer]
        assert cosines == sorted(cosines, reverse=True)  # type: ignore[type-var]


def test_open_answers_are_shared_as_often_as_chance_has_it(episodes: list[Episode]) -> None:
    alike = [s.answer == e.query.answer for e in of(episodes, "open_qa") for s in e.demonstrations]
    assert 0.03 < sum(alike) / len(alike) < 0.07  # 20 answers


def test_free_answers_come_as_they_are(made: Any) -> None:
    plan = Plan(format="open_qa", selector="rices", shots=[4], answers="free")
    alike = [
        s.answer == e.query.answer
        for e in made.build(made.make_pool(800), EpisodeSettings(episodes=[plan]))
        for s in e.demonstrations
    ]
    assert sum(alike) / len(alike) > 0.8


def test_captions(made: Any) -> None:
    plan = Plan(format="caption", selector="rices", shots=[0, 3])
    found = made.build(made.make_pool(300, captions=True), EpisodeSettings(episodes=[plan]))
    assert all(e.query.answer.startswith("Picture") and not e.query.options for e in found)
    assert all(len({turn.question for turn in (*e.demonstrations, e.query)}) == 1 for e in found)
    assert len({e.query.question for e in found}) == 5


def test_distractors_are_never_true_of_the_picture(made: Any) -> None:
    from curate.episodes.pool import Pool

    names = [("tabby", "cat"), ("cat",), ("dog",), ("CAT", "animal")]
    demos = [made.demonstration(i, concepts=names[i % 4]) for i in range(80)]
    plan = Plan(format="multiple_choice", selector="random", shots=[2])
    found = made.build(Pool.of(demos), EpisodeSettings(episodes=[plan]))
    assert {tuple(sorted(e.query.options)) for e in found} == {("cat", "dog"), ("dog", "tabby")}


def test_sets_that_name_one_picture_in_their_own_ways_never_oppose_those_names(made: Any) -> None:
    from curate.episodes.pool import Pool, normal

    captions, classes = ("cartoon", "moon", "tree"), ("Space", "Moon", "Plants")
    both = [
        made.demonstration(2 * i + (task == "category"), image=i, task=task, concepts=(names[i % 3],))
        for i in range(60)
        for task, names in (("caption", captions), ("category", classes))
    ]
    plan = Plan(format="multiple_choice", selector="random", shots=[2, 4], ways=2)
    found = made.build(Pool.of(both), EpisodeSettings(episodes=[plan]))
    assert len(found) > 50
    meant = {"cartoon": 0, "space": 0, "moon": 1, "tree": 2, "plants": 2}
    for episode in found:
        assert len({meant[normal(option)] for option in episode.query.options}) == 2


def test_the_table_is_that_of_the_records(episodes: list[Episode]) -> None:
    table = to_table(episodes, Episode)
    assert table.schema.equals(arrow_schema(Episode))
    assert from_table(table, Episode) == episodes
    assert len({e.id for e in episodes}) == len(episodes)


def test_provenance_and_licences_name_everything_that_went_in(made: Any) -> None:
    from curate.episodes.pool import Pool
    from curate.schema import Provenance

    demos = [
        made.demonstration(
            i, licence=("CC0-1.0", "CC-BY-4.0")[i % 2], provenance=Provenance("s", str(i), (f"import:{i % 2}",))
        )
        for i in range(8)
    ]
    plan = Plan(format="open_qa", selector="random", shots=[6], answers="free")
    for e in made.build(Pool.of(demos), EpisodeSettings(episodes=[plan])):
        assert e.licence == "CC-BY-4.0 AND CC0-1.0"
        assert set(e.provenance.lineage) == {"import:0", "import:1"}
        assert (e.provenance.source, e.provenance.record) == ("made up", e.query.demonstration_id)


def test_a_heading_that_is_a_sentence_or_an_address_is_no_option(made: Any) -> None:
    long, link = "Increasing this value selects pixels that are lighter than those selected before", "See https://example.org"
    names = ["cat", "dog", long, link]
    pool = Pool.of([made.demonstration(i, concepts=(names[i % 4],), answer=names[i % 4]) for i in range(40)])
    plans = [
        Plan(format="multiple_choice", selector="random", shots=[2]),
        Plan(format="open_qa", selector="random", shots=[1]),
    ]
    built = made.build(pool, EpisodeSettings(episodes=plans, guard={"cosine": None}))  # type: ignore[arg-type]
    assert {option for e in of(built, "multiple_choice") for option in e.query.options} == {"cat", "dog"}
    assert {e.concept for e in of(built, "open_qa")} >= {long, link}


def test_a_concept_is_written_as_most_write_it(made: Any) -> None:
    spelt = ["Tools", "tools", "tools", "Hats", "hats"]
    pool = Pool.of([made.demonstration(i, concepts=(name,)) for i, name in enumerate(spelt)])
    assert pool.names == ["tools", "Hats"]
