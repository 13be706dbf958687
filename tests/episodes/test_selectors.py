"""What each selector is for, and that plans get their shares."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from curate.episodes import EpisodeSettings, Plan, lint
from curate.schema import Episode


def built(made: Any, plans: list[Plan], count: int = 1500, **settings: Any) -> list[Episode]:
    pool = made.make_pool(count)
    return made.build(pool, EpisodeSettings(episodes=plans, **settings))  # type: ignore[no-any-return]


def similarity(episodes: list[Episode]) -> float:
    return float(np.mean([shot.similarity for e in episodes for shot in e.demonstrations if shot.similarity is not None]))


def test_rices_is_nearer_than_concept_is_nearer_than_random(made: Any) -> None:
    means = [
        similarity(built(made, [Plan(format="open_qa", selector=selector, shots=[4], answers="free")]))
        for selector in ("rices", "concept", "random")
    ]
    assert means == sorted(means, reverse=True)
    assert means[1] > means[2] + 0.2


def test_rices_takes_the_very_nearest_that_the_guard_leaves(made: Any) -> None:
    pool = made.make_pool(400)
    plan = Plan(format="open_qa", selector="rices", shots=[4], answers="free", order="similar_first")
    at = {name: row for row, name in enumerate(pool.ids)}
    vectors = pool.vectors.astype(np.float64)
    for e in made.build(pool, EpisodeSettings(episodes=[plan])):
        row = at[e.query.demonstration_id]
        cosine = np.round(vectors @ vectors[row], 6)
        same = (pool.documents == pool.documents[row]) & (pool.documents[row] >= 0)
        cosine[same | (np.arange(400) == row)] = -2
        best = np.sort(cosine)[::-1][:4]
        assert np.allclose([shot.similarity for shot in e.demonstrations], best, atol=1e-4)


def test_concept_stays_with_the_concept_and_chooses_its_siblings_as_distractors(made: Any) -> None:
    alike = built(made, [Plan(format="open_qa", selector="concept", shots=[4], answers="free")])
    own = [shot.answer == e.query.answer for e in alike for shot in e.demonstrations]
    assert sum(own) / len(own) > 0.95
    choices = built(made, [Plan(format="multiple_choice", selector="concept", shots=[2])])
    kinds = [{int(option.split()[1]) % 5 for option in e.query.options} for e in choices]
    assert sum(len(kind) == 1 for kind in kinds) / len(kinds) > 0.95


@pytest.mark.parametrize("order", ["similar_last", "similar_first"])
def test_orders_of_similarity(made: Any, order: str) -> None:
    plan = Plan(format="open_qa", selector="random", order=order, shots=[5], answers="free")
    for e in built(made, [plan], count=300):
        cosines = [shot.similarity for shot in e.demonstrations]
        assert cosines == sorted(cosines, reverse=order == "similar_first")  # type: ignore[type-var]


def test_shares_hold_over_plans_and_shots(made: Any) -> None:
    plans = [
        Plan(format="open_qa", selector="random", shots={1: 0.5, 4: 0.5}, share=0.6),
        Plan(format="multiple_choice", selector="random", shots=[2], share=0.4),
    ]
    counts = Counter((e.format, len(e.demonstrations)) for e in built(made, plans, count=2000))
    assert abs(counts["open_qa", 1] - 600) < 20
    assert abs(counts["open_qa", 4] - 600) < 20
    assert abs(counts["multiple_choice", 2] - 800) < 20


def test_a_limit_is_a_sample_and_the_seed_changes_it_all(made: Any) -> None:
    plans = [Plan(format="open_qa", selector="random", shots=[2])]
    one, again, other = (built(made, plans, limit=50, seed=seed) for seed in (0, 0, 1))
    assert len(one) == 50
    assert one == again
    assert {e.id for e in one}.isdisjoint(e.id for e in other)


def test_variants_of_a_query_differ(made: Any) -> None:
    plans = [Plan(format="open_qa", selector="random", shots=[3])]
    found = built(made, plans, count=300, per_query=3)
    assert len(found) == 900
    keys = {(e.query.demonstration_id, *sorted(s.demonstration_id for s in e.demonstrations)) for e in found}
    assert len(keys) > 890


def test_where_there_is_but_one_choice_it_is_made_once(made: Any) -> None:
    ear = made.Ear()
    plans = [Plan(format="open_qa", selector="rices", shots=[2], answers="free")]
    found = made.build(made.make_pool(100), EpisodeSettings(episodes=plans, per_query=3), ear)
    assert len(found) == 100
    assert Counter(reason for _, reason in ear.dropped) == {"duplicate_episode": 200}


def test_plans_that_differ_in_order_alone_do_not_repeat_one_another(made: Any) -> None:
    plans = [
        Plan(format="open_qa", selector="rices", shots=[0, 2], order=order) for order in ("similar_last", "similar_first")
    ]
    pool = made.make_pool(200)
    found = made.build(pool, EpisodeSettings(episodes=plans, per_query=4))
    report = lint(found)
    assert report.duplicates == {"episodes": 0, "ids": 0, "images_in_an_episode": 0}


def test_demonstrations_that_cannot_be_used_are_named(made: Any) -> None:
    from curate.episodes.pool import Pool
    from curate.schema import Image

    bad = [
        made.demonstration(0, images=()),
        made.demonstration(1, images=(Image("a.png", 1, 1, "not hex"),)),
        made.demonstration(2, images=tuple(Image(f"{i}.png", 1, 1, "0" * 16) for i in range(9))),
        made.demonstration(3, answer="  "),
        made.demonstration(4),
        made.demonstration(4),
        made.demonstration(6, concepts=("",)),
    ]
    ear, pool = made.Ear(), Pool.of(bad)
    plans = [Plan(format="open_qa", selector="random", shots=[4])]
    assert made.build(pool, EpisodeSettings(episodes=plans), ear) == []
    reasons = dict(ear.dropped)
    assert [reasons[f"d0000{i}#0"] for i in (0, 1, 2, 3, 6)] == [
        "no_image",
        "bad_hash",
        "too_many_images",
        "no_answer",
        "no_plan_fits",
    ]
    assert ("d00004#0", "duplicate_id") in ear.dropped


def test_an_empty_pool_is_an_empty_build(made: Any) -> None:
    from curate.episodes.pool import Pool

    assert made.build(Pool.of([]), EpisodeSettings(episodes=[Plan(format="caption", selector="random")])) == []


def test_shares_hold_over_many_parts_of_one_query(made: Any) -> None:
    plans = [
        Plan(format="open_qa", selector="random", shots=[1], share=3),
        Plan(format="open_qa", selector="random", shots=[2]),
    ]
    episodes = made.build(made.make_pool(400), EpisodeSettings(episodes=plans), part=1)
    counts = Counter(len(e.demonstrations) for e in episodes)
    assert 2.2 < counts[1] / counts[2] < 4.2
