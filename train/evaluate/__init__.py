"""ICL benchmarks: readers, conditions, scores, predictions."""

from train.evaluate.predicting import Predictor, PredictSettings

__all__ = ["PredictSettings", "Predictor"]
