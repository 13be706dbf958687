from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import ConfigError, InputError, MissingToolError
from pipelines.sweep.belief import BY_TARGET, fit
from pipelines.sweep.models import MODELS
from pipelines.sweep.models.trees import is_installed
from pipelines.sweep.space import Floats
from pipelines.sweep.tasks import Noise, noise_of, objective_of, task_of
from tests.pipelines.sweep.answers import sweep, task, with_choice

CORE = ("mean", "linear", "quadratic", "log-linear", "process")


def error(name: str, kind: str, m: int = 4) -> float:
    """RMSE over unseen mixes, over the spread of the true values."""
    from pipelines.sweep.surfaces import surface

    truth, known = surface(kind, m, 3, "tests"), task(kind, m, 3, noise=0.02, runs=40)
    unseen = np.random.default_rng(0).dirichlet(np.full(m, 3.0), 200)
    true = truth.value(unseen)
    return float(np.sqrt(np.mean((fit(name, known).mean(unseen) - true) ** 2)) / np.std(true))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("quadratic", "quadratic"), ("log-linear" + BY_TARGET, "losses"), ("process", "quadratic"), ("process", "repeated")],
)
def test_a_model_predicts_unseen_mixes_of_a_surface_that_it_suits(name: str, kind: str) -> None:
    assert error(name, kind) < 0.2


def test_no_model_is_surer_than_where_it_has_seen_nothing() -> None:
    known = task("quadratic", 4)
    corner = np.eye(4)[:1]
    for name in ("linear", "quadratic", "process"):
        fitted = fit(name, known)
        assert fitted.predict(corner)[1][0] > fitted.predict(known.rows[:1])[1][0]


@pytest.mark.parametrize("name", [name for name in CORE if name != "log-linear"])
def test_answers_as_they_were_give_the_fit_as_it_was(name: str) -> None:
    known = task("saturating", 3)
    fitted, rows = fit(name, known), known.rows[:5]
    assert np.allclose(fitted.again(known.merged().parts[None], rows)[0], fitted.mean(rows), atol=1e-6)


def test_log_linear_stays_where_it_was_when_its_answers_stay() -> None:
    known = task("losses", 3)
    fitted = fit("log-linear" + BY_TARGET, known)
    assert np.allclose(fitted.again(known.parts[None], known.rows)[0], fitted.mean(known.rows), atol=1e-3)


@pytest.mark.parametrize("name", CORE)
def test_swapping_components_swaps_nothing_else(name: str) -> None:
    from pipelines.sweep.space import Simplex, Space
    from pipelines.sweep.tasks import Task

    known, order = task("saturating", 4), np.array([2, 0, 3, 1])
    one = known.space.simplices[0]
    turned = Simplex(
        "source",
        *(tuple(getattr(one, name)[at] for at in order) for name in ("components", "prior", "natural", "low", "high")),
    )
    other = Task(Space((turned,)), known.rows[:, order], known.mixes, known.parts, known.weights, known.kept)
    assert np.allclose(fit(name, other).mean(known.rows[:, order]), fit(name, known).mean(known.rows), atol=1e-4)


@pytest.mark.parametrize("name", CORE[1:])
def test_a_choice_adds_its_effect(name: str) -> None:
    seen = with_choice(sweep("saturating", 3, noise=0.02, runs=30), 0.1)
    known = task_of(seen, {"accuracy/0": 1.0})
    rows = np.repeat(seen.space.row(seen.space.prior)[None], 2, axis=0)
    rows[1, -2:] = [0, 1]
    assert np.diff(fit(name, known).mean(rows))[0] == pytest.approx(0.1, abs=0.03)


def test_a_curve_of_one_share_is_found() -> None:
    def bump(rows: Floats) -> Floats:  # up and down again: no polynomial of second degree
        return np.asarray(np.exp(-((rows[:, 0] - 0.3) ** 2) / 0.02), np.float64)

    known, dice = task("repeated", 4, runs=40), np.random.default_rng(0)
    known = replace(known, rows=dice.dirichlet(np.ones(4), 40))
    unseen = np.array([[share, *[(1 - share) / 3] * 3] for share in (0.05, 0.3, 0.6)])
    bent = known.answering(bump(known.rows)[:, None])
    off = {name: np.abs(fit(name, bent).mean(unseen) - bump(unseen)).max() for name in ("quadratic", "process")}
    assert 2 * off["process"] < off["quadratic"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=5, max_size=5), st.integers(0, 9))
def test_the_likelihood_rises_where_its_slopes_say(strengths: list[float], seed: int) -> None:
    from pipelines.sweep.models.process import Process, _Likelihood

    known = task("saturating", 3, seed)
    features = Process(known.space)._features(known.rows)
    likelihood, at = _Likelihood(features, known.y / known.y.std(), 3, 3), np.array(strengths)
    slopes = likelihood._cost(at)[1]
    steps = 1e-5 * np.eye(5)
    measured = [(likelihood._cost(at + step)[0] - likelihood._cost(at - step)[0]) / 2e-5 for step in steps]
    assert slopes == pytest.approx(measured, rel=1e-3, abs=1e-3)


def test_the_process_is_the_one_that_scikit_learn_has() -> None:
    from pipelines.sweep.models.process import Process

    known = task("saturating", 4)
    process = Process(known.space).fit(known.rows, known.y, known.noise().sd)
    features = process._features(known.rows[:6])
    assert np.allclose(process._signal.diag(features), np.diag(process._signal(features)))
    mean, sd = process._model.predict(features, return_std=True)  # of a run, noise included
    ours, own = process.predict(known.rows[:6])
    noise = np.exp(process._model.kernel_.theta[-1])
    assert ours == pytest.approx(process._middle + process._spread * mean)
    assert own**2 + process._spread**2 * noise == pytest.approx((process._spread * sd) ** 2)


def test_a_law_does_not_run_away_where_it_has_seen_nothing() -> None:
    """A target that hardly moves but for one run; the corners are far from all runs."""
    known = task("losses", 4, runs=24).merged()
    for seed in range(20):
        dice = np.random.default_rng(seed)
        y = 0.3 + 0.01 * dice.normal(size=len(known.rows))
        y[int(np.argmax(known.rows[:, seed % 4]))] = 0.18
        told = fit("log-linear", known.answering(y[:, None])).mean(np.eye(4))
        assert np.all(told > 0.18 - 4 * np.ptp(y))
        assert np.all(told < y.max() + np.ptp(y))


def test_answers_that_are_all_alike_can_be_fitted() -> None:
    for seed in (0, 42, 44, 48, 56):  # rounding alone is left, and a law of no slope
        known = task("flat", 3 + seed % 6, seed, noise=0.0)
        for name in CORE:
            assert np.allclose(fit(name, known).mean(known.rows), known.y, atol=1e-6)


def test_choices_alone_can_be_fitted() -> None:
    from pipelines.sweep.space import Choice, Space
    from pipelines.sweep.tasks import Task

    rows: Floats = np.tile(np.eye(2), (6, 1))
    y = rows[:, 1] + np.random.default_rng(0).normal(0, 0.05, 12)
    known = Task(Space((), (Choice("order", ("a", "b")),)), rows, np.arange(12), y[:, None], np.ones(1), np.arange(12))
    for name in CORE[1:]:
        assert np.diff(fit(name, known).mean(np.eye(2)))[0] == pytest.approx(1, abs=0.15)


def test_noise_is_that_of_runs_of_one_mix() -> None:
    assert noise_of(np.array([1.0, 3.0, 10.0, 10.0, 50.0]), np.array([0, 0, 1, 1, 2])) == Noise(1.0, 2)
    assert not noise_of(np.array([1.0, 2.0]), np.array([0, 1])).is_known


def test_losses_are_turned_round_and_gaps_left_out() -> None:
    seen = sweep("losses", 3)
    seen.targets["loss/0"][4] = np.nan
    known = task_of(seen, {"loss/0": -1.0})
    assert len(known.rows) == len(seen) - 1
    assert 4 not in known.kept
    assert np.allclose(known.y, -seen.targets["loss/0"][known.kept])
    with pytest.raises(InputError, match="no trial has the target"):
        task_of(seen, {"loss/nine": 1.0})


def test_the_objective_is_what_was_asked_for_or_gains_or_accuracies_or_losses() -> None:
    assert objective_of(["loss/a"], {"loss/a": -2.0}) == {"loss/a": -2.0}
    assert objective_of(["loss/a", "accuracy/b/2", "gain/b/2", "gain/b/1"], None) == {"gain/b/2": 0.5, "gain/b/1": 0.5}
    assert objective_of(["loss/a", "loss/b"], {}) == {"loss/a": -0.5, "loss/b": -0.5}


def test_an_unknown_model_is_named_with_its_nearest() -> None:
    from pipelines.sweep.fitting import FitSettings

    with pytest.raises(ConfigError, match="quadratic"):
        FitSettings(models=("quadratik",))


def test_trees_say_what_is_missing_or_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    if is_installed():
        known = task("quadratic", 3, runs=44)
        assert np.corrcoef(fit("trees", known).mean(known.rows), known.y)[0, 1] > 0.7
    monkeypatch.setattr("pipelines.sweep.models.trees.is_installed", lambda: False)
    with pytest.raises(MissingToolError, match="sweep-trees"):
        MODELS.get("trees")(task().space)
