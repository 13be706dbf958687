"""Our benchmarks as tasks of lmms-eval, with the demonstrations' pictures."""

from pipelines.lmms.export import export_lmms

__all__ = ["export_lmms"]
