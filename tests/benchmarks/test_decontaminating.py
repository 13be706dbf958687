"""What training has seen is found in runs and in plans, left out, and proven to be out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.benchmarks.decontaminating import faults, nearest_bits, proof
from curate.benchmarks.material import concept_key
from curate.benchmarks.seen import Seen, read_seen
from curate.benchmarks.settings import Decontamination
from curate.errors import InputError
from curate.layout import Run
from curate.schema import Demonstration, Image
from tests.benchmarks.small_world import demonstration, made, store, world
from tests.mixture.small_runs import planned, spec_of, varied_run


def held(tmp_path: Path, rows: list[Demonstration], **rules: Any) -> list[str]:
    """Faults of `rows` against a training run of three things and a page."""
    run = Run.at(tmp_path / "train")
    train = [demonstration(run, at, name) for at, name in enumerate(("tabby cats", "fox", "oak"))]
    train[2] = replace(train[2], document_id="page 1", concepts=("oak", "tree"))
    store(run, train)
    seen = read_seen([run.root.uri])
    return faults(Run.at(tmp_path / "bench"), rows, seen, Decontamination(**rules))


def test_each_rule_finds_what_it_is_for(tmp_path: Path) -> None:
    run = Run.at(tmp_path / "bench")
    fresh = [demonstration(run, 100 + at, f"new {at}") for at in range(7)]
    near = demonstration(run, 1, "x").images[0]
    bits = [replace(near, ref=f"{at}.png", phash=f"{int(near.phash, 16) ^ flip:016x}") for at, flip in ((0, 15), (1, 31))]
    rows = [
        fresh[0],
        replace(fresh[1], images=(demonstration(run, 0, "x").images[0],)),
        replace(fresh[2], images=(fresh[2].images[0], bits[0])),
        replace(fresh[3], images=(bits[1],)),
        replace(fresh[4], document_id="page 1"),
        replace(fresh[5], concepts=("Tabby  cat", "animal")),
        replace(fresh[6], concepts=("tree",)),
    ]
    found = ["", "picture", "perceptual_hash", "", "document", "concept", ""]
    assert held(tmp_path, rows) == [name and f"{name}_in_training" for name in found]
    assert held(tmp_path, rows, concepts="broader")[6] == "concept_in_training"
    assert held(tmp_path, rows, concepts=False, documents=False, perceptual_bits=None) == [
        "", "picture_in_training", "", "", "", "", "",
    ]  # fmt: skip
    assert held(tmp_path, rows, perceptual_bits=5)[3] == "perceptual_hash_in_training"


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_the_nearest_hash_is_the_nearest(ours: list[int], theirs: list[int]) -> None:
    seen = Seen(hashes=np.array(sorted(set(theirs)), dtype=np.uint64))
    found = nearest_bits([Image("x", 1, 1, f"{value:016x}") for value in ours], seen)
    expected = {f"{one:016x}": min([64, *((one ^ other).bit_count() for other in theirs)]) for one in ours}
    assert found == expected


def test_singular_and_plural_are_one_concept() -> None:
    one = ("Cats", "tree houses", "foxes", "berries", "buses", "cookies", "planes", "trees")
    other = ("cat", "tree house", "fox", "berry", "bus", "cookie", "plane", "tree")
    assert list(map(concept_key, one)) == list(map(concept_key, other))
    apart = ("glass", "gas", "iris", "dress", "cactus", "plan", "plane", "cub", "cube", "")
    assert len(set(map(concept_key, apart))) == len(apart)


def test_vectors_find_what_hashes_do_not(tmp_path: Path) -> None:
    run, train = Run.at(tmp_path / "bench"), Run.at(tmp_path / "train")
    rows = [demonstration(run, at, f"new {at}") for at in range(3)]
    store(run, rows, np.eye(3))
    store(train, [demonstration(train, 9, "fox")], np.array([[0.0, 0.99, 0.1]]))
    rules = Decontamination(cosine=0.9)
    seen = read_seen([train.root.uri], with_vectors=True)
    assert faults(run, rows, seen, rules) == ["", "cosine_in_training", ""]
    bare = store(Run.at(tmp_path / "bare"), rows)
    with pytest.raises(InputError, match="has no embeddings"):
        faults(bare, rows, seen, rules)
    with pytest.raises(InputError, match="has no embeddings"):
        read_seen([bare.root.uri], with_vectors=True)


def test_the_proof_finds_what_the_filter_was_not_told(tmp_path: Path) -> None:
    run = world(tmp_path / "world")
    items = made(run, "choice").items
    rules = Decontamination()
    other = world(tmp_path / "other", first=50)
    apart = proof(items, ["thing 1"], read_seen([other.root.uri]), rules)
    assert set(apart["shared"].values()) == {0}
    same = proof(items, ["thing 1"], read_seen([run.root.uri]), rules)["shared"]
    assert same["pictures"] == same["near_pictures"] == apart["pictures"] > 0
    assert same["concepts"] == 1


def test_composed_pictures_are_compared_by_their_bytes(tmp_path: Path) -> None:
    run = world(tmp_path / "world")
    items = made(run, "choice").items
    seen = read_seen([run.root.uri])
    refs = {shot.images[0].ref for item in items for shot in (*item.episode.demonstrations, item.episode.query)}
    blurred = replace(seen, refs=frozenset())
    found = proof(items, [], blurred, Decontamination(), refs)
    assert (found["shared"]["near_pictures"], found["composed"]) == (0, len(refs))


def test_a_plan_tells_what_its_samples_show(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    run = varied_run(tmp_path / "run", picture, episodes=12)
    plan = planned(spec_of(run), tmp_path / "plan")
    seen = read_seen([plan.folder.uri])
    drawn = list(run.built_episodes())
    refs = {image.ref for e in drawn for shot in (*e.demonstrations, e.query) for image in shot.images}
    assert seen.refs == refs
    assert {concept_key(e.concept) for e in drawn} <= seen.concepts
    assert seen.places == [
        {"name": plan.folder.uri.rpartition("/")[2], "is": "plan", "digest": plan.digest, "samples": len(plan)}
    ]


def test_a_place_that_is_neither_run_nor_plan_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a run"):
        read_seen([str(tmp_path)])
