"""Two plans are compared by what is in them: samples, how often, in which order, and by shares of every axis."""

from collections.abc import Callable
from pathlib import Path

import pytest

from curate.layout import Run
from curate.mixture.diff import diff, identities
from tests.mixture.small_runs import planned, spec_of, varied_run

CAPTIONS = {"axis": "format", "shares": {"caption": 1}}
REST = {"axis": "format", "shares": {"open_qa": 1, "multiple_choice": 1}}
COURSE = {"blocks": 3, "schedules": [{"axis": "shots", "path": [0, 1, 2, 4]}]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, picture: Callable[..., bytes]) -> Run:
    return varied_run(tmp_path_factory.mktemp("diff") / "run", picture, 36)


def test_a_plan_equals_itself(run: Run, tmp_path: Path) -> None:
    plan = planned(spec_of(run), tmp_path)
    found = diff(plan, plan)
    assert found.equal
    assert (found.a, found.b, found.shared, found.only_a, found.only_b, found.repeated) == (36, 36, 36, 0, 0, 0)
    assert all(share.difference == 0 for share in found.shares)


def test_the_flat_control_is_the_same_samples_in_another_order(run: Run, tmp_path: Path) -> None:
    course = planned(spec_of(run, curriculum=COURSE), tmp_path / "a")
    flat = planned(spec_of(run, curriculum=COURSE, order="flat"), tmp_path / "b")
    found = diff(course, flat)
    assert found.same_samples
    assert not found.same_order
    assert not found.same_blocks
    assert not found.equal


def test_samples_of_one_plan_only_and_repeats_are_counted(run: Run, tmp_path: Path) -> None:
    captions = planned(spec_of(run, quotas=[CAPTIONS]), tmp_path / "a")
    rest = planned(spec_of(run, quotas=[REST]), tmp_path / "b")
    twice = planned(spec_of(run, quotas=[CAPTIONS], max_repeats=2), tmp_path / "c")
    found = diff(captions, rest)
    assert (found.only_a, found.only_b, found.shared) == (12, 24, 0)
    caption = next(share for share in found.shares if (share.axis, share.value) == ("format", "caption"))
    assert (caption.a, caption.b, caption.difference) == (100, 0, -100)
    again = diff(captions, twice)
    assert (again.only_a, again.only_b, again.repeated, again.same_samples) == (0, 0, 12, False)


def test_bands_are_cut_alike_in_both(run: Run, tmp_path: Path) -> None:
    quotas = [{"axis": "coherence", "shares": {"high": 1}}]
    found = diff(planned(spec_of(run), tmp_path / "a"), planned(spec_of(run, quotas=quotas), tmp_path / "b"))
    assert [share.b for share in found.shares if (share.axis, share.value) == ("coherence", "high")] == [100]


@pytest.mark.parametrize("bands", range(2, 10))
def test_bands_are_cut_where_the_report_cuts_them(run: Run, tmp_path: Path, bands: int) -> None:
    """Edges lie on samples, so the least rounding of an edge would move them to another band."""
    plan = planned(spec_of(run, bands=bands), tmp_path)
    for axis in ("coherence", "hardness"):
        shares = {share.value: share.a for share in diff(plan, plan).shares if share.axis == axis}
        said = plan.manifest.report["marginals"][axis]
        assert shares == pytest.approx({value: row["share"] for value, row in said.items()}, abs=1e-4)


def test_a_sample_is_told_by_its_content_not_its_place(run: Run, tmp_path: Path) -> None:
    one, other = planned(spec_of(run), tmp_path / "a"), planned(spec_of(run, size=20), tmp_path / "b")
    first, second = (
        dict(zip(plan.samples.column("key").to_pylist(), identities(plan).tolist(), strict=True)) for plan in (one, other)
    )
    assert len(set(first.values())) == 36
    assert second.items() <= first.items()
