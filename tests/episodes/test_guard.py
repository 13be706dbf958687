"""Whatever the pool, no episode holds what the guard forbids."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.episodes.pool import Pool
from curate.episodes.settings import EpisodeSettings, GuardSettings, Plan
from curate.schema import Demonstration, Episode, Image, Provenance

BITS, COSINE = 4, 0.97
PLANS = [
    Plan(format="multiple_choice", selector=selector, shots=[0, 1, 2, 3], ways=[2, 3], share=share)
    for selector, share in (("random", 1.0), ("concept", 1.5), ("rices", 2.0))
]
PLANS += [Plan(format="open_qa", selector=s, shots={1: 0.5, 4: 0.5}, order="similar_last") for s in ("random", "rices")]
PLANS += [Plan(format="classification", labels="pseudo", shots=[2], selector="random"), Plan(format="caption", shots=[2])]

people = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=2),  # images: picture, flipped bits
        st.integers(0, 3),  # concept
        st.integers(-1, 4),  # document
        st.integers(0, 2),  # answer
        st.floats(0, 6.28),  # direction of the vector
        st.booleans(),  # caption
    ),
    min_size=1,
    max_size=40,
)


def pool_of(made: Any, drawn: list[Any], vectors: bool) -> tuple[Pool, dict[str, Demonstration], dict[str, Any]]:
    demos = [
        made.demonstration(
            i,
            images=tuple(Image(f"{p}-{flips}.png", 9, 9, f"{hash_of(p) ^ (2**flips - 1):016x}") for p, flips in images),
            concepts=(f"concept {concept}",),
            document_id=f"page {page}" if page >= 0 else "",
            answer=f"answer {answer}",
            format="caption" if caption else "open_qa",
            question="" if caption else "What?",
        )
        for i, (images, concept, page, answer, _, caption) in enumerate(drawn)
    ]
    angles = np.array([angle for *_, angle, _ in drawn])
    matrix = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    pool = Pool.of(demos, matrix if vectors else None)
    known = {d.id: pool.vectors[i].astype(np.float64) for i, d in enumerate(demos)} if pool.vectors is not None else {}
    return pool, {d.id: d for d in demos}, known


def hash_of(picture: int) -> int:
    return int(np.random.default_rng(picture).integers(2**63))


def near(one: Demonstration, other: Demonstration, vectors: dict[str, Any]) -> bool:
    """By brute force: shares bytes, looks alike, or has a close vector."""
    pairs = [(a, b) for a in one.images for b in other.images]
    same = any(a.ref == b.ref for a, b in pairs)
    alike = any((int(a.phash, 16) ^ int(b.phash, 16)).bit_count() <= BITS for a, b in pairs)
    return same or alike or (bool(vectors) and vectors[one.id] @ vectors[other.id] > COSINE + 1e-6)


def violations(episode: Episode, demos: dict[str, Demonstration], vectors: dict[str, Any]) -> list[str]:
    query, shots = demos[episode.query.demonstration_id], [demos[s.demonstration_id] for s in episode.demonstrations]
    found = [f"document {d.id}" for d in shots if query.document_id and d.document_id == query.document_id]
    found += [f"query {d.id}" for d in shots if d.id == query.id or near(d, query, vectors)]
    found += [f"twice {d.id}" for at, d in enumerate(shots) for e in shots[:at] if d.id == e.id or near(d, e, vectors)]
    return found


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=people, vectors=st.booleans(), seed=st.integers(0, 5))
def test_no_episode_violates_the_guard(made: Any, drawn: list[Any], vectors: bool, seed: int) -> None:
    pool, demos, known = pool_of(made, drawn, vectors)
    ear = made.Ear()
    plans = [plan for plan in PLANS if vectors or plan.selector != "rices"]
    episodes = made.build(pool, EpisodeSettings(episodes=plans, per_query=2, seed=seed), ear)
    assert [violations(e, demos, known) for e in episodes] == [[]] * len(episodes)
    assert ear.seen == 2 * len(pool) == len(episodes) + len(ear.dropped)


@pytest.mark.parametrize("selector", ["random", "concept", "rices"])
def test_a_rule_that_is_off_lets_through_and_one_that_is_on_counts(made: Any, selector: str) -> None:
    demos = [
        made.demonstration(i, image=i // 2, concepts=("a",), document_id="page", phash=f"{i // 2 * 0x0F0F0F0F:016x}")
        for i in range(8)
    ]
    pool = Pool.of(demos, np.ones((8, 4)) / 2)
    off: dict[str, Any] = {"exact_image": False, "perceptual_bits": None, "cosine": None, "document": False, "twice": False}
    for rule, counted in (
        ("exact_image", "exact_image"),
        ("perceptual_bits", "perceptual_hash"),
        ("cosine", "cosine"),
        ("document", "document"),
    ):
        on = {"exact_image": True, "perceptual_bits": 0, "cosine": 0.9, "document": True}[rule]
        ear, plan = made.Ear(), Plan(format="open_qa", selector=selector, shots=[7], answers="free")
        assert len(made.build(pool, EpisodeSettings(episodes=[plan], guard=GuardSettings(**off)), ear)) == 8
        guard = GuardSettings(**{**off, rule: on})
        assert made.build(pool, EpisodeSettings(episodes=[plan], guard=guard), ear) == []
        assert ear.tallies["guard", counted] > 0
        assert {reason for _, reason in ear.dropped} == {"too_few_demonstrations"}


def test_near_duplicates_among_demonstrations_are_refused(made: Any) -> None:
    demos = [made.demonstration(i, phash=f"{(2 ** (i % 3) - 1) if i else 2**60 - 1:016x}") for i in range(6)]
    pool, ear = Pool.of(demos), made.Ear()
    plan = Plan(format="open_qa", selector="random", shots=[2], answers="free")
    settings_ = EpisodeSettings(episodes=[plan], guard=GuardSettings(cosine=None))
    assert made.build(pool, settings_, ear) == []
    assert ear.tallies["guard", "twice"] > 0
    assert ear.tallies["guard", "perceptual_hash"] > 0
    loose = settings_.model_copy(update={"guard": GuardSettings(cosine=None, twice=False)})
    assert {e.query.demonstration_id for e in made.build(pool, loose)} == {"d00000"}


def test_a_query_is_dropped_and_never_shortened(made: Any) -> None:
    ear = made.Ear()
    pool = made.make_pool(10, concepts=1)
    plan = Plan(format="open_qa", selector="random", shots=[9], answers="free")
    found = made.build(pool, EpisodeSettings(episodes=[plan]), ear)
    assert {len(e.demonstrations) for e in found} == {9}
    same_page = [("d00003#0", "too_few_demonstrations"), ("d00005#0", "too_few_demonstrations")]
    assert (len(found), sorted(ear.dropped)) == (8, same_page)


def test_demonstrations_can_be_kept_to_other_sources_than_the_query(made: Any) -> None:
    styles = ["ink", "oil", "chalk"]
    demos = [
        made.demonstration(
            i,
            concepts=(f"thing {i // 3}",),
            source=styles[i % 3],
            provenance=Provenance(styles[i % 3], str(i), ("import:0123",)),
        )
        for i in range(120)
    ]
    plans = [Plan(format=form, selector="random", shots=[2], ways=2) for form in ("multiple_choice", "classification")]
    plans += [Plan(format="open_qa", selector="random", shots=[2])]
    known, ear = {d.id: d.source for d in demos}, made.Ear()
    episodes = made.build(Pool.of(demos), EpisodeSettings(episodes=plans, guard=GuardSettings(source=True)), ear)
    assert len(episodes) == len(demos)
    for episode in episodes:
        asked = known[episode.query.demonstration_id]
        assert all(known[shot.demonstration_id] != asked for shot in episode.demonstrations)
    assert ear.tallies["guard", "source"] > 0
