"""The whole experiment, rehearsed: minutes, so it runs where HEADLINE_SMALL=1 asks for it."""

import os
from pathlib import Path

import pytest

from pipelines.headline.__main__ import main

RECIPE = Path(__file__).parents[3] / "recipes" / "headline"


@pytest.mark.samples
@pytest.mark.skipif(os.environ.get("HEADLINE_SMALL") != "1", reason="takes minutes; HEADLINE_SMALL=1 runs it")
def test_the_rehearsal_ends_with_a_summary_and_a_report(tmp_path: Path) -> None:
    words = [str(RECIPE / "headline.yaml"), "--over", str(RECIPE / "small.yaml"), "--out", str(tmp_path)]
    assert main(words) == 0
    assert "## Gains" in (tmp_path / "summary.md").read_text()
    assert (tmp_path / "report.html").stat().st_size > 10_000
