"""A sweep as a page and as tables for Olmix."""

from pipelines.sweep.report.page import SweepReport, write_sweep_report

__all__ = ["SweepReport", "write_sweep_report"]
