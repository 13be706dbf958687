"""Boosted trees (LightGBM), what RegMix (Liu et al. 2024) fits: an extra, and only with enough runs to split."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from curate.errors import MissingToolError
from pipelines.sweep.models.base import MODELS, scale_of
from pipelines.sweep.space import Floats, Space

if TYPE_CHECKING:
    from lightgbm import Booster

SETTINGS: dict[str, Any] = {
    "objective": "regression",
    "metric": "l2",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 3,
    "min_data_in_bin": 1,
    "lambda_l2": 1.0,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbose": -1,
    "seed": 0,
}
ROUNDS = 100


def is_installed() -> bool:
    """Whether LightGBM is there."""
    from importlib.util import find_spec

    return find_spec("lightgbm") is not None


@MODELS.register("trees")
class Trees:
    """LightGBM with few leaves; its uncertainty is the misfit of its own runs, the same everywhere."""

    least = 40
    bends = True

    def __init__(self, space: Space) -> None:
        if not is_installed():
            raise MissingToolError("the model 'trees' needs LightGBM: pip install 'shotcraft[sweep-trees]'")

    def fit(self, rows: Floats, y: Floats, noise: float) -> Self:
        """Boosts."""
        self._rows, (self._middle, self._spread) = rows, scale_of(y)
        self._model = self._boosted(y)
        misfit = float(np.std(y - self.predict_mean(rows)))
        self._error = max(misfit, noise)
        return self

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean, and one standard deviation for all rows."""
        return self.predict_mean(rows), np.full(len(rows), self._error)

    def predict_mean(self, rows: Floats) -> Floats:
        """[k]."""
        return self._means(self._model, rows)

    def again(self, ys: Floats, rows: Floats) -> Floats:
        """Boosted anew for each."""
        return np.stack([self._means(self._boosted(y), rows) for y in ys])

    def _boosted(self, y: Floats) -> "Booster":
        import lightgbm

        data = lightgbm.Dataset(self._rows, (y - self._middle) / self._spread, params={"verbose": -1})
        return lightgbm.train(SETTINGS, data, ROUNDS)

    def _means(self, model: "Booster", rows: Floats) -> Floats:
        return self._middle + self._spread * np.asarray(model.predict(rows), np.float64)
