"""A spec becomes a plan whose samples are what it says, the same ones whatever the workers and the order."""

import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import ConfigError, InputError, IntegrityError, QualityError
from curate.layout import Run
from curate.mixture.accounts import KEYS, contents, report_of
from curate.mixture.build import check_shares, mixing, stale_shards
from curate.mixture.tokens import Estimate
from curate.shards.plans import Plan, PlanManifest, members_schema, samples_schema
from curate.storage import Folder, sha256
from tests.mixture.small_runs import planned, spec_of, varied_run

FORMAT = {"axis": "format", "shares": {"multiple_choice": 1, "open_qa": 1, "caption": 2}}
COURSE = {"blocks": 4, "schedules": [{"axis": "shots", "kind": "step", "path": [0, 1, 2, 4]}]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, picture: Callable[..., bytes]) -> tuple[Run, Run]:
    """Two runs of different samples."""
    root = tmp_path_factory.mktemp("runs")
    return varied_run(root / "a", picture, 60), varied_run(root / "b", picture, 36, first=100)


def names(plan: Plan) -> list[tuple[str, str]]:
    """(source, key) of the samples in plan order."""
    rows = plan.samples.select(["source", "key"]).to_pylist()
    return [(rows[number]["source"], rows[number]["key"]) for number in plan.order]


def share(plan: Plan, axis: str, value: str) -> float:
    return float(report_of(plan)["marginals"][axis].get(value, {"share": 0.0})["share"])


def test_equal_specs_give_equal_bytes_on_any_number_of_workers(runs: tuple[Run, Run], tmp_path: Path) -> None:
    spec = spec_of(*runs, quotas=[FORMAT], curriculum=COURSE, each={"a": {"weight": 1}, "b": {"weight": 1}})
    for workers in (1, 2):
        planned(spec, tmp_path / str(workers), mixing(Folder.of(tmp_path / str(workers)), workers=workers))
    for file in ("plan.json", "order.arrow", "samples.arrow", "members.arrow"):
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes(), file
    again = planned(spec, tmp_path / "1")
    assert again.digest == Plan.open(tmp_path / "2").digest


def test_a_plan_opens_and_its_places_hold_its_samples(runs: tuple[Run, Run], tmp_path: Path) -> None:
    plan = Plan.open(planned(spec_of(*runs), tmp_path / "deep" / "plan").folder)
    for number in range(0, len(plan.samples), 9):
        folder, name, _ = plan.shards[plan.shard_of(number)]
        place = plan.places(number)[0]
        data = folder.local(name).read_bytes()[place.offset : place.offset + place.size]
        assert data.startswith(b'{"id":"e')
    assert plan.samples.schema.equals(samples_schema())
    assert plan.members.schema.equals(members_schema())
    assert not any(str(tmp_path) in source.place for source in plan.manifest.sources)


def test_another_seed_draws_otherwise_to_the_same_shares(runs: tuple[Run, Run], tmp_path: Path) -> None:
    one, two = (planned(spec_of(runs[0], quotas=[FORMAT], size=20, seed=seed), tmp_path / str(seed)) for seed in (1, 2))
    assert sorted(names(one)) != sorted(names(two))
    assert [share(one, "format", value) for value in FORMAT["shares"]] == [25.0, 25.0, 50.0]  # type: ignore[attr-defined]
    assert report_of(one)["requested"] == report_of(two)["requested"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    unit=st.sampled_from(["sample", "supervised_token", "image_token"]),
    repeats=st.integers(1, 3),
    size=st.one_of(st.just("max"), st.integers(80, 400)),
    replay=st.sampled_from([None, "full", 0.25]),
    quotas=st.lists(st.sampled_from(["format", "shots", "concept", "selector", "coherence"]), unique=True, max_size=2),
    seed=st.integers(0, 5),
)
def test_the_flat_control_is_the_same_samples_and_caps_hold(
    runs: tuple[Run, Run], tmp_path: Path, unit: str, repeats: int, size: Any, replay: Any, quotas: list[str], seed: int
) -> None:
    more = {"unit": unit, "max_repeats": repeats, "size": size, "replay": replay, "seed": seed, "curriculum": COURSE}
    asked = [{"axis": axis, "shares": "uniform"} for axis in quotas]
    each = {"b": {"replay": True}}
    how = mixing(Folder.of(tmp_path / "plan"), str(tmp_path / "catalogue"))
    course = names(planned(spec_of(*runs, quotas=asked, each=each, **more), tmp_path, how))
    plan = planned(spec_of(*runs, quotas=asked, each=each, order="flat", **more), tmp_path, how)
    flat = names(plan)
    assert Counter(course) == Counter(flat)
    assert len(plan.manifest.blocks) == 1
    assert max(Counter(flat).values()) <= repeats
    if replay == "full":
        assert Counter(source for source, _ in flat)["b"] == 36
        assert len({key for source, key in flat if source == "b"}) == 36


def test_a_curriculum_goes_from_few_shots_to_many(runs: tuple[Run, Run], tmp_path: Path) -> None:
    plan = planned(spec_of(runs[0], curriculum=COURSE), tmp_path)
    shots = np.array(plan.samples.column("shots").to_pylist())[plan.order]
    ends = [0, *plan.manifest.blocks]
    means = [shots[start:stop].mean() for start, stop in pairwise(ends)]
    assert means == sorted(means)
    assert (means[0], means[-1]) == (0, 4)
    (track,) = report_of(plan)["curriculum"]["tracks"]
    assert track["realised"][0] == [100.0, 0.0, 0.0, 0.0]


def test_a_path_that_cannot_be_walked_as_written_is_told(runs: tuple[Run, Run], tmp_path: Path) -> None:
    path = {"axis": "shots", "kind": "step", "path": [0, 1, 99]}
    notes = report_of(planned(spec_of(runs[0], curriculum={"blocks": 2, "schedules": [path]}), tmp_path))["notes"]
    assert any("99, which no sample has" in note for note in notes)
    assert any("3 values and the plan 2 block" in note for note in notes), notes


def test_a_schedule_of_replay_leaves_the_weights_to_the_other_sources(runs: tuple[Run, Run], tmp_path: Path) -> None:
    points = {0.0: {"yes": 40, "no": 60}, 1.0: {"yes": 0, "no": 100}}
    course = {"blocks": 4, "schedules": [{"axis": "replay", "points": points}]}
    each = {"a": {"weight": 1}, "b": {"weight": 1, "replay": True}}
    plan = planned(spec_of(*runs, each=each, curriculum=course), tmp_path)
    assert share(plan, "replay", "yes") == pytest.approx(20, abs=1)
    check_shares(plan)
    replayed = np.array(plan.samples.column("replay").to_pylist())[plan.order]
    held = [int(part.sum()) for part in np.split(replayed, plan.manifest.blocks[:-1])]
    assert held == sorted(held, reverse=True)


def test_schedules_that_contradict_each_other_are_told(runs: tuple[Run, Run], tmp_path: Path) -> None:
    few_first = {"axis": "shots", "kind": "step", "path": [0, 1, 2, 4]}
    none_last = {"axis": "coherence", "kind": "step", "path": ["high", "mid", "low", "none"]}  # none is what 0 shots have
    plan = planned(spec_of(runs[0], curriculum={"blocks": 4, "schedules": [few_first, none_last]}), tmp_path)
    assert any("off its schedule" in note for note in report_of(plan)["notes"])


def test_shares_are_of_the_unit_that_is_asked_for(runs: tuple[Run, Run], tmp_path: Path) -> None:
    plan = planned(spec_of(runs[0], unit="supervised_token", quotas=[{"axis": "shots", "shares": "uniform"}]), tmp_path)
    tokens = np.array(plan.samples.column("supervised_tokens").to_pylist())[plan.order]
    shots = np.array(plan.samples.column("shots").to_pylist())[plan.order]
    for row in report_of(plan)["requested"]:
        held = 100 * tokens[shots == int(row["value"])].sum() / tokens.sum()
        assert held == pytest.approx(row["realised"], abs=1e-5)
    assert report_of(plan)["size"]["units"] == tokens.sum()


def test_a_share_that_the_data_cannot_give_is_explained_and_refused(runs: tuple[Run, Run], tmp_path: Path) -> None:
    plan = planned(spec_of(runs[0], quotas=[{"axis": "format", "shares": {"multiple_choice": 1, "essay": 1}}]), tmp_path)
    with pytest.raises(QualityError, match="--allow-nearest"):
        check_shares(plan)
    assert Plan.open(tmp_path)
    assert any("essay" in reason for reason in report_of(plan)["reasons"])
    check_shares(planned(spec_of(runs[0], quotas=[FORMAT]), tmp_path))


def test_the_report_says_everything_that_is_documented(runs: tuple[Run, Run], tmp_path: Path) -> None:
    plan = planned(spec_of(*runs, quotas=[FORMAT], replay="full"), tmp_path)
    report = report_of(plan)
    assert set(report) == KEYS
    assert report["tokens"] == "estimate"
    assert any("replay: true" in note for note in report["notes"])
    assert sum(source["drawn"] for source in report["sources"].values()) == report["size"]["samples"] == len(plan)
    for axis, values in contents(report):
        assert sum(row["samples"] for _, row in values) == len(plan), axis
        assert sum(row["share"] for _, row in values) == pytest.approx(100, abs=1e-3)


def test_each_token_counter_has_a_catalogue_of_its_own(runs: tuple[Run, Run], tmp_path: Path) -> None:
    class Doubled(Estimate):
        name, digest = "doubled", "d"

        def count(self, record: Any) -> Any:
            return type(super().count(record))(*(2 * tokens for tokens in super().count(record)))

    shared = str(tmp_path / "catalogue")
    plain = planned(spec_of(runs[0]), tmp_path, mixing(Folder.of(tmp_path / "1"), shared))
    doubled = planned(spec_of(runs[0]), tmp_path, mixing(Folder.of(tmp_path / "2"), shared, Doubled()))
    assert report_of(doubled)["tokens"] == "doubled"
    assert report_of(doubled)["size"]["image_tokens"] == 2 * report_of(plain)["size"]["image_tokens"]
    assert len(list((tmp_path / "catalogue").iterdir())) == 2


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"quotas": [{"axis": "fromat", "shares": "uniform"}]}, "'format'"),
        ({"curriculum": {"schedules": [{"axis": "shot", "path": [0]}]}}, "'shots'"),
        ({"quotas": [FORMAT, FORMAT]}, "asked for twice"),
        ({"quotas": [{"axis": "format", "shares": {"caption": 0}}]}, "not all 0"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(
    runs: tuple[Run, Run], tmp_path: Path, more: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        planned(spec_of(runs[0], **more), tmp_path)


def test_a_plan_of_nothing_is_refused(runs: tuple[Run, Run], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="raise the size"):
        planned(spec_of(runs[0], size=0.2), tmp_path)
    assert not (tmp_path / "plan.json").exists()


def test_a_plan_beyond_memory_is_refused_before_it_is_laid_out(
    runs: tuple[Run, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.mixture.compose.MOST_DRAWS", 1000)
    with pytest.raises(ConfigError, match="lower size or max_repeats"):
        planned(spec_of(*runs, size="max", max_repeats=100), tmp_path)


Change = Callable[[pa.Table], pa.Table]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("order", lambda table: table.rename_columns(["other"])),
        ("samples", lambda table: table.drop_columns(["key"])),
        ("samples", lambda table: table.set_column(2, "first", pa.array([0.5] * len(table)))),
        ("samples", lambda table: table.set_column(2, "first", pa.nulls(len(table), pa.int64()))),
        ("samples", lambda table: table.set_column(2, "first", pa.array([2**63 - 1] * len(table)))),
        ("members", lambda table: table.drop_columns(["crc32"])),
    ],
)
def test_a_plan_with_other_columns_is_damaged_whatever_it_says(
    runs: tuple[Run, Run], tmp_path: Path, name: str, change: Change
) -> None:
    plan = planned(spec_of(runs[0]), tmp_path)
    tables = {"order": pa.table({"sample": plan.order}), "samples": plan.samples, "members": plan.members}
    tables[name] = change(tables[name])
    manifest = json.loads((tmp_path / "plan.json").read_text())
    for each, table in tables.items():
        with pa.ipc.new_file(tmp_path / f"new-{each}", table.schema) as out:
            out.write_table(table)
        (tmp_path / f"new-{each}").rename(tmp_path / f"{each}.arrow")
        manifest["files"][f"{each}.arrow"] = sha256((tmp_path / f"{each}.arrow").read_bytes())
    (tmp_path / "plan.json").write_text(json.dumps(manifest))
    with pytest.raises(IntegrityError, match="build"):
        Plan.open(tmp_path)


@pytest.mark.parametrize("text", ["[" * 200_000, None])
def test_a_manifest_that_is_nested_without_end_or_counts_below_zero_is_damaged(
    runs: tuple[Run, Run], tmp_path: Path, text: str | None
) -> None:
    plan = planned(spec_of(runs[0]), tmp_path)
    manifest = json.loads((tmp_path / "plan.json").read_text())
    (tmp_path / "plan.json").write_text(text or json.dumps({**manifest, "blocks": [-1, len(plan)]}))
    with pytest.raises(IntegrityError):
        Plan.open(tmp_path)


def test_a_plan_of_another_make_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="build it again"):
        report_of(Plan(Folder.of(tmp_path), PlanManifest(1, 0, {}, (), (), {})))
    assert not stale_shards(Plan(Folder.of(tmp_path), PlanManifest(1, 0, {}, (), (), {})))
