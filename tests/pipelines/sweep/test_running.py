"""The runner: nothing twice, nothing lost, failures begun again and reported, the worse half stopped with its values."""

import json
from pathlib import Path

import numpy as np
import pytest

from curate.errors import QualityError
from curate.settings import build
from pipelines.jobs.processes import Interrupted
from pipelines.sweep.design import Design, read_design, write_design
from pipelines.sweep.results import read_results
from pipelines.sweep.running import SweepRunner
from pipelines.sweep.settings import SweepSpec
from pipelines.sweep.status import read_status
from tests.pipelines.sweep.fake_engine import ALWAYS_FAILS, FakeEngine, design_of


def run(out: Path, design: Design, engine: FakeEngine) -> tuple[dict[str, int], list[str]]:
    said: list[str] = []
    out.mkdir(exist_ok=True)
    write_design(out, design)
    return SweepRunner(out, design, build(SweepSpec, design.spec), engine, said.append).run(), said


def test_all_trials_come_to_their_end_side_by_side(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path, at_once=3)
    counts, _ = run(tmp_path, design_of(7), engine)
    assert counts["done"] == 7
    assert engine.most == 3
    assert set(engine.starts.values()) == {1}


def test_a_sweep_that_was_stopped_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    first = FakeEngine(tmp_path, at_once=1, stop_after=4)
    with pytest.raises(Interrupted):
        run(tmp_path, design_of(7), first)
    assert first.stopped
    second = FakeEngine(tmp_path)
    counts, said = run(tmp_path, design_of(7), second)
    assert counts["done"] == 7
    assert "3 of 7 trials" in said[0]
    assert sum(second.starts.values()) == 4
    assert read_status(tmp_path, "t03").attempts == 2


def test_a_failure_is_begun_again(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path, {"t04": 1})
    counts, said = run(tmp_path, design_of(6), engine)
    assert counts["done"] == 6
    assert engine.starts["t04"] == 2
    assert any("t04 (dirichlet) is begun again" in line and "no such thing" in line for line in said)
    status = read_status(tmp_path, "t04")
    assert (status.state, status.attempts, status.error) == ("done", 2, "")


def test_a_trial_that_keeps_failing_is_reported_when_all_others_are_done(tmp_path: Path) -> None:
    design, engine = design_of(6, retries=2), FakeEngine(tmp_path, {"t01": ALWAYS_FAILS, "t05": ALWAYS_FAILS})
    with pytest.raises(QualityError, match=r"2 of 6 trials failed \(t01, t05\), 4 are done.*no such thing") as told:
        run(tmp_path, design, engine)
    assert told.value.exit_code == 3
    assert engine.starts["t01"] == 3
    status = read_status(tmp_path, "t01")
    assert (status.state, status.attempts) == ("failed", 3)
    counts, _ = run(tmp_path, design, FakeEngine(tmp_path))  # mended
    assert counts["done"] == 6


HALVING = {"rungs": [10, 20], "eta": 2}


def test_halving_stops_the_worse_half_and_never_the_prior(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path)
    counts, said = run(tmp_path, design_of(11, HALVING), engine)
    assert (counts["done"], counts["stopped_early"]) == (5, 6)
    done = [number for number in range(11) if read_status(tmp_path, f"t{number:02d}").state == "done"]
    assert done == [0, 1, 2, 9, 10]
    assert any("step 10: 4 of 8 trials go on" in line for line in said)
    assert engine.starts["t10"] == 3
    again = FakeEngine(tmp_path)
    counts, _ = run(tmp_path, design_of(11, HALVING), again)
    assert (counts["done"], counts["stopped_early"], sum(again.starts.values())) == (5, 6, 0)


def test_a_trial_that_failed_at_a_rung_is_not_compared(tmp_path: Path) -> None:
    with pytest.raises(QualityError, match="1 of 7 trials failed"):
        run(tmp_path, design_of(7, HALVING), FakeEngine(tmp_path, {"t06": ALWAYS_FAILS}))
    assert read_status(tmp_path, "t05").state == "done"


def test_results_are_read_with_realised_shares_and_by_rung(tmp_path: Path) -> None:
    design = design_of(11, HALVING)
    run(tmp_path, design, FakeEngine(tmp_path))
    whole, first = read_results(tmp_path), read_results(tmp_path, rung=0)
    assert (len(whole), len(first)) == (5, 11)
    assert whole.rows[:, 0].tolist() == pytest.approx([number / 20 + 0.001 for number in (0, 1, 2, 9, 10)])
    assert whole.rows[:, 2:].tolist() == [[1.0, 0.0]] * 5
    assert whole.targets["gain/b/1"].tolist() == [0.0, 0.1, 0.2, 0.9, 1.0]
    assert first.targets["gain/b/1"][-1] == 0.1
    assert [trial.id for trial in whole.trials] == ["t00", "t01", "t02", "t09", "t10"]


def test_a_target_that_a_trial_lacks_is_not_a_number(tmp_path: Path) -> None:
    design = design_of(4)
    run(tmp_path, design, FakeEngine(tmp_path))
    place = tmp_path / "trials/t03/result.json"
    result = json.loads(place.read_text())
    result["targets"] = {"loss/a": {"value": 2.0, "error": None}}
    place.write_text(json.dumps(result))
    seen = read_results(tmp_path)
    assert np.isnan(seen.targets["gain/b/1"]).tolist() == [False, False, False, True]
    assert np.isnan(seen.errors["loss/a"]).all()


def test_a_design_survives_its_file(tmp_path: Path) -> None:
    design = design_of(5, HALVING)
    write_design(tmp_path, design)
    assert read_design(tmp_path) == design
