"""The page of a sweep in a browser: nothing is fetched, nothing complains, no width makes it scroll sideways."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.sweep.fitted import fit_folder
from pipelines.sweep.report import write_sweep_report
from tests.pipelines.sweep.reported import write_sweep_folder
from tests.report.conftest import chromium
from tests.report.test_browser import CONTRAST, Page

__all__ = ["chromium"]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of a whole sweep with long names, and of one that has just begun."""
    whole, begun = (tmp_path_factory.mktemp("sweeps") / name for name in ("whole", "begun"))
    names = ("W" * 300, "a source with a rather long name", "<script>alert(1)</script>", "蝶 & ü")
    write_sweep_folder(whole, names=names, error="E" * 900)
    fit_folder(whole)
    write_sweep_folder(begun, done=3, failed=-1)
    for out in (whole, begun):
        write_sweep_report(out)
    return [out / "report.html" for out in (whole, begun)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1400])
def test_no_width_makes_the_page_scroll_sideways(chromium: Any, pages: list[Path], width: int, scheme: str) -> None:
    for path in pages:
        page = Page(chromium, path, width, scheme)
        page.js("for (const d of document.querySelectorAll('details')) d.open = true")
        assert page.js("return document.documentElement.scrollWidth") <= width
        assert page.requests() == [path.as_uri()]
        assert page.complaints() == []


def test_text_has_contrast_in_both_themes(chromium: Any, pages: list[Path]) -> None:
    for scheme in ("light", "dark"):
        page = Page(chromium, pages[0], 1280, scheme)
        ratios = page.js(CONTRAST, [".lead", ".about", ".fine", ".worst span", ".tile .extra", ".warning li", ".trials .bad"])
        assert min(ratios.values()) >= 4.5, (scheme, ratios)
