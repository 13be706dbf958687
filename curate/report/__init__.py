"""A run to a self-contained HTML page."""

from curate.report.page import Report, make_report, write_report
from curate.report.settings import ReportSettings

__all__ = ["Report", "ReportSettings", "make_report", "write_report"]
