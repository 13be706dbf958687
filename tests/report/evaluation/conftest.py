"""Evaluations that several tests read: a model before and after tuning, the latter with three seeds, one that cheats."""

from dataclasses import dataclass

import pytest

from curate.benches import Bench
from tests.report.evaluation.made import bench, evaluation

EVIL = '<img src=x onerror="alert(1)">'


@dataclass(frozen=True)
class World:
    """Benchmarks and the folders of evaluations. Read only."""

    benches: list[Bench]
    places: list[str]  # before, three seeds of tuned, cheat


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two benchmarks with demonstrations, one of single pictures; five runs of three models."""
    root = tmp_path_factory.mktemp("evaluations")
    benches = [
        bench(root / "benches", "emoji", (0, 1, 4), 30, domain="emoji, unseen"),
        bench(root / "benches", "stamps", (1, 2), 24, title=f"Which stamp? {EVIL}", domain="stamps"),
        bench(root / "benches", "single", (0,), 30),
    ]
    before = evaluation(root / "before", benches, {0: 0.7, 1: 0.5, 2: 0.5, 4: 0.5})
    rates = {0: 0.7, 1: 0.75, 2: 0.85, 4: 0.9}
    tuned = [evaluation(root / f"tuned-seed-{seed}", benches, rates, seed) for seed in (1, 2, 3)]
    cheat = evaluation(root / "cheat", benches, dict.fromkeys(range(5), 0.9), control=0.85, name=f"cheat {EVIL}")
    return World(benches, [str(place) for place in (before, *tuned, cheat)])
