import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from curate.errors import InputError
from pipelines.cli import app
from pipelines.sweep.confirming import confirmed
from pipelines.sweep.design import Trial
from pipelines.sweep.fitted import trials_to_add
from pipelines.sweep.fitting import FitSettings, as_json, fit_sweep
from pipelines.sweep.following import confirmations, next_trials
from pipelines.sweep.results import Observations
from pipelines.sweep.surfaces import surface
from pipelines.sweep.tasks import task_of
from pipelines.sweep.validation import candidates, folds_of, try_all, weights_of
from tests.pipelines.sweep.answers import sweep, task, with_choice, write_answers

QUICK = FitSettings(outer=3, folds=3, shuffles=99, models=("quadratic", "log-linear"))
WEIGHTS = surface("losses", 3, 0, "tests").weights


def test_runs_of_one_mix_are_held_out_together() -> None:
    mixes = np.array([0, 0, 0, 1, 2, 3, 4, 4, 5])
    fold = folds_of(mixes, 3, 0, "x")
    assert all(len({*fold[mixes == mix].tolist()}) == 1 for mix in np.unique(mixes))
    assert sorted(np.bincount([fold[mixes == mix][0] for mix in np.unique(mixes)])) == [2, 2, 2]


def test_the_law_that_made_the_losses_is_believed_most() -> None:
    known = task("losses", 4, noise=0.05, runs=30)
    tried = try_all(known, candidates(known, ("quadratic", "log-linear", "process"), proposing=True), 4, 0, "x")
    weights = weights_of(tried, known.count)
    assert weights.sum() == pytest.approx(1)
    assert tried[int(np.argmax(weights))].name == "log-linear by target"
    assert tried[0].name == "mean"
    assert weights[0] < 0.01


def test_what_proposes_has_no_lines_in_it() -> None:
    names = candidates(task("losses", 3), ("linear", "quadratic", "log-linear", "process"), proposing=True)
    assert names == ["mean", "quadratic", "process", "log-linear by target"]


def test_nothing_is_explained_where_nothing_differs() -> None:
    seen = sweep("flat", 3, noise=0.02)
    told = as_json(fit_sweep(seen, None, QUICK), {})
    assert told["objective"]["explains"] is False
    assert "explains nothing" in told["objective"]["verdict"]
    assert told["verdict"].startswith("no significant difference")
    assert not told["proposal"]["significant"]


def test_where_all_is_equal_nothing_is_found() -> None:
    seen = sweep("flat", 3)
    for values in seen.targets.values():
        values[:] = 2.0
    told = as_json(fit_sweep(seen, None, QUICK), {})
    assert told["objective"]["chosen"] == "mean"
    assert told["proposal"]["gains"][0]["gain"] == pytest.approx(0, abs=1e-6)
    assert told["proposal"]["gains"][0]["p"] == 1


def test_a_loss_keeps_its_sign_and_its_curve_its_interval() -> None:
    told = as_json(fit_sweep(sweep("losses", 3), WEIGHTS, QUICK), {})["targets"]["loss/0"]
    assert told["better"] == "lower"
    assert all(row["observed"] > 0 and row["fitted"] > 0 for row in told["predictions"])
    assert told["components"][0]["effect"] < 0  # a loss falls with its own component
    for one in told["components"]:
        assert all(low <= mean <= high for low, mean, high in zip(one["low"], one["mean"], one["high"], strict=True))
        assert one["effect_low"] <= one["effect"] <= one["effect_high"]


def test_missing_answers_are_counted_and_left_out() -> None:
    seen = sweep("losses", 3)
    seen.targets["loss/1"][3:6] = np.nan
    seen.targets["loss/2"][3:] = np.nan
    found = fit_sweep(seen, {"loss/0": -0.5, "loss/1": -0.5}, QUICK)
    assert found.objective.missing == 3
    assert {one.name: one.missing for one in found.targets} == {"loss/0": 0, "loss/1": 3}
    assert found.too_few == {"loss/2": 1}
    with pytest.raises(InputError, match="1 mixes have the whole objective"):
        fit_sweep(seen, {"loss/2": -1.0}, QUICK)


def test_a_choice_is_told_with_its_interval_and_taken() -> None:
    seen = with_choice(sweep("saturating", 3, noise=0.02, runs=24), 0.2)
    told = as_json(fit_sweep(seen, None, QUICK), {})
    (level,) = told["targets"]["accuracy/0"]["choices"]
    assert (level["choice"], level["level"]) == ("order", "staged")
    assert level["low"] <= level["effect"] <= level["high"]
    assert level["effect"] == pytest.approx(0.2, abs=0.05)
    assert told["proposal"]["choices"] == {"order": "staged"}


def test_next_trials_are_allowed_new_and_apart() -> None:
    found = fit_sweep(sweep("saturating", 4), None, QUICK.model_copy(update={"outer": 0}), targets=False)
    batch = next_trials(found.belief, found.limits, 5)
    rows = np.stack([found.seen.space.row(one.point) for one in batch])
    assert found.seen.space.allows(rows).all()
    apart = 0.5 * np.abs(rows[:, None] - rows[None]).sum(axis=2)[~np.eye(5, dtype=bool)]
    assert apart.min() > 0.05
    assert batch[0].improvement >= batch[-1].improvement >= 0
    assert batch == next_trials(found.belief, found.limits, 5)


def test_confirmations_have_fresh_seeds_and_the_prior() -> None:
    found = fit_sweep(sweep("saturating", 3), None, QUICK.model_copy(update={"outer": 0}), targets=False)
    runs = confirmations(found.belief, found.proposal.row, 2, 3, used=7)
    assert [run.seed for run in runs] == [7, 8, 9] * 3
    assert runs[0].point == found.seen.space.prior
    assert found.seen.space.row(runs[3].point) == pytest.approx(found.proposal.row)


def with_fresh_seeds(gain: float, seeds: int = 3) -> Observations:
    """A flat sweep; the prior and one other mix are run again, the other `gain` above the prior."""
    seen = sweep("flat", 3, noise=0.01)
    again = np.repeat([0, 5], seeds)  # trials 0 to 2 are the prior's
    rows, dice = np.concatenate([seen.rows, seen.rows[again]]), np.random.default_rng(0)
    targets = {}
    for name, values in seen.targets.items():
        fresh = values[0] - gain * (again == 5) + dice.normal(0, 0.01, len(again))  # losses
        targets[name] = np.concatenate([values, fresh])
    kinds = [("prior",)] * 3 + [("dirichlet",)] * (len(seen) - 3) + [("confirm",)] * len(again)
    mixes = np.concatenate([seen.mixes, seen.mixes[again]])
    points = [seen.space.point(row) for row in rows]
    trials = [Trial(str(at), str(mix), kinds[at], at, points[at], str(at)) for at, mix in enumerate(mixes)]
    errors = {name: np.full(len(rows), np.nan) for name in targets}
    return Observations(seen.space, rows, mixes, np.arange(len(rows)), targets, errors, tuple(trials))


@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_fresh_seeds_are_told_beside_those_of_the_prior(gain: float) -> None:
    seen = with_fresh_seeds(gain)
    (one,) = fit_sweep(seen, None, QUICK.model_copy(update={"outer": 0}), targets=False).confirmed
    assert (one.runs, one.prior_runs) == (3, 3)
    y = -np.mean([*seen.targets.values()], axis=0)
    assert one.gain == pytest.approx(y[-3:].mean() - y[-6:-3].mean())
    assert one.low < gain < one.high
    assert (one.low > 0) == (one.p < 0.05) == (gain > 0)


def test_half_of_the_intervals_of_fresh_seeds_hold_at_one_half() -> None:
    held = []
    for seed in range(200):
        dice = np.random.default_rng(seed)
        seen = with_fresh_seeds(0.0)
        targets = {name: dice.normal(0, 1, len(seen)) for name in seen.targets}
        task = task_of(replace(seen, targets=targets), dict.fromkeys(targets, -1.0))
        (one,) = confirmed(task, seen.trials, 0.5)
        held.append(one.low <= 0 <= one.high)
    assert 0.4 < np.mean(held) < 0.6


def test_without_fresh_runs_of_the_prior_nothing_is_confirmed() -> None:
    seen = with_fresh_seeds(0.1)
    kinds = [("dirichlet",) if trial.mix == "0" and "confirm" in trial.kinds else trial.kinds for trial in seen.trials]
    trials = [replace(trial, kinds=kind) for trial, kind in zip(seen.trials, kinds, strict=True)]
    assert confirmed(task_of(seen, WEIGHTS), trials, 0.9) == []


def test_trials_that_had_another_mix_than_asked_for_are_counted(tmp_path: Path) -> None:
    seen = sweep("losses", 3)
    write_answers(tmp_path, seen, WEIGHTS, models=["quadratic"], shuffles=99, outer=0)
    place = tmp_path / "trials/t07/result.json"
    told = json.loads(place.read_text())
    shares = told["realised"]["source"]
    much, little = max(shares, key=shares.get), min(shares, key=shares.get)
    shares[much], shares[little] = shares[much] - 0.2, shares[little] + 0.2
    place.write_text(json.dumps(told))
    ran = CliRunner().invoke(app, ["sweep", "fit", str(tmp_path)])
    assert "1 trial had another mix than asked for, by up to 20\u00a0% of an axis" in ran.stderr
    assert json.loads((tmp_path / "fit.json").read_text())["strayed"] == {"trials": 1, "farthest": pytest.approx(0.2)}
    (tmp_path / "trials/t03/result.json").unlink()
    assert CliRunner().invoke(app, ["sweep", "report", str(tmp_path)]).exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert "The results have changed since the fit: 15 trials have one" in page
    assert "1 trial had another mix than asked for" in page


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("design", "--next", "1", "--set", "seed=3"), "leave out --out, --set and --budget"),
        (("run",), "design the sweep again"),
    ],
)
def test_what_cannot_be_done_to_a_finished_sweep_is_told(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    write_answers(tmp_path, sweep("losses", 3), WEIGHTS)  # whose design does not say what trials run with
    ran = CliRunner().invoke(app, ["sweep", words[0], str(tmp_path), *words[1:]])
    assert ran.exit_code != 0
    assert says in str(ran.exception)


def test_the_command_writes_what_it_tells(tmp_path: Path) -> None:
    write_answers(tmp_path, sweep("losses", 3), WEIGHTS, models=["quadratic"], shuffles=99, outer=2, folds=3)
    ran = CliRunner().invoke(app, ["sweep", "fit", str(tmp_path), "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert told == json.loads((tmp_path / "fit.json").read_text())
    assert told["trials"] == {"done": 16, "failed": 1}
    assert told["settings"]["models"] == ["quadratic"]
    assert sum(told["proposal"]["shares"]["source"].values()) == pytest.approx(1)
    assert [gain["baseline"] for gain in told["proposal"]["gains"]] == ["prior", "natural", "uniform"]
    assert len(told["next"]) == 4
    first = (tmp_path / "fit.json").read_bytes()
    plain = CliRunner().invoke(app, ["sweep", "fit", str(tmp_path)])
    assert plain.exit_code == 0
    assert "1 failed" in plain.stderr
    assert (tmp_path / "fit.json").read_bytes() == first
    added = trials_to_add(tmp_path, next_=2, confirm=1, seeds=3)
    assert [run.seed for run in added] == [0, 0, *[3, 4, 5] * 2]


def test_without_results_the_command_says_what_to_do(tmp_path: Path) -> None:
    empty = sweep("losses", 3)
    write_answers(tmp_path, empty, WEIGHTS)
    for place in (tmp_path / "trials").glob("*/result.json"):
        place.unlink()
    with pytest.raises(InputError, match="curate sweep run"):
        trials_to_add(tmp_path, next_=1)
