"""The page of evaluations in a browser: nothing is fetched, nothing complains, filters filter, a phone is wide enough."""

from pathlib import Path
from typing import Any

import pytest

from curate.report.evaluation import write_evaluation_page
from curate.report.settings import ReportSettings
from tests.report.evaluation.conftest import World
from tests.report.test_browser import CONTRAST, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_file(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    return write_evaluation_page(world.places, out, ReportSettings(max_episodes=40))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1400])
def test_no_width_makes_the_page_scroll_sideways(chromium: Any, page_file: Path, width: int, scheme: str) -> None:
    page = Page(chromium, page_file, width, scheme)
    page.js("for (const d of document.querySelectorAll('details')) d.open = true")
    page.show_all()
    assert page.js("return document.documentElement.scrollWidth") <= width
    assert page.requests() == [page_file.as_uri()]
    assert page.complaints() == []


def test_every_model_has_its_own_colour_in_every_drawing(chromium: Any, page_file: Path) -> None:
    page = Page(chromium, page_file)
    fills = page.js("return [0, 1, 2].map(i => getComputedStyle(document.querySelector(`.forest .m${i} .mean`)).fill)")
    assert len(set(fills)) == 3
    strokes = page.js(
        "return [...document.querySelectorAll('.spans polyline, .spans line')].map(e => getComputedStyle(e).stroke)"
    )
    assert strokes
    assert "none" not in strokes


def test_filters_find_where_models_differ(chromium: Any, page_file: Path) -> None:
    page = Page(chromium, page_file)
    assert page.texts("#count") == ["40 of 40 items"]
    page.choose("outcome", "models differ")
    page.show_all()
    answers = "[...card.querySelectorAll('.verdicts li')].map(e => e.className)"
    cards = page.js(f"return [...document.querySelectorAll('.card')].map(card => {answers})")
    assert cards
    assert all({"right", "wrong"} == set(card) for card in cards)
    page.choose("bench", "single")
    assert set(page.texts(".card .chips li:first-child")) <= {"single"}
    page.choose("concept", "no such thing")
    assert page.texts("#count") == ["No item matches. Clear a filter."]


def test_text_has_contrast_in_both_themes(chromium: Any, page_file: Path) -> None:
    for scheme in ("light", "dark"):
        page = Page(chromium, page_file, 1280, scheme)
        ratios = page.js(
            CONTRAST, [".lead", ".fine", ".worst span", ".refs", ".failed .share", ".verdicts .who", ".verdicts .tick"]
        )
        assert min(ratios.values()) >= 4.5, (scheme, ratios)
