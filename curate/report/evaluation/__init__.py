"""Evaluations to a self-contained page: scores with intervals, controls, gains, forgetting, right and wrong answers."""

from curate.report.evaluation.page import EvaluationPage, evaluation_page, write_evaluation_page

__all__ = ["EvaluationPage", "evaluation_page", "write_evaluation_page"]
