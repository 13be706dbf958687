"""In headless Chromium: nothing runs but our script, nothing is fetched, filters filter, and a phone is wide enough."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from curate.layout import Run
from curate.report import ReportSettings, make_report

pytestmark = pytest.mark.browser

SENT = "Network.requestWillBeSent"

HOSTILE = {
    "closes the script": "</script><script>window.pwned = 1; alert(1)</script>",
    "image with a handler": '<img src="https://example.invalid/x.png" onerror="alert(2)">',
    "leaves an attribute": '" onmouseover="alert(3)" x=\'',
    "comment and data": "<!-- <script> ]]> &lt;b&gt; &amp; {{ 7*7 }} ${7*7}",
    "turned round": "safe \u202eevil\u2066 txt \u0000\u0007\u2028 end",
    "no spaces": "W" * 3000,
    "combining": "e" + "\u0301" * 400,
    "prototype": "__proto__",
}


class Page:
    """A page in Chromium and what it did."""

    def __init__(self, window: Any, path: Path, width: int = 1280, scheme: str = "light") -> None:
        self.window = window
        phone = width < 600
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": phone}
        window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}  # a click needs a page that stands still
        media = [{"name": name, "value": value} for name, value in wishes.items()]
        window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        window.get("about:blank")
        window.get_log("browser"), window.get_log("performance")
        window.get(path.as_uri())

    def js(self, script: str, *values: Any) -> Any:
        return self.window.execute_script(script, *values)

    def all(self, selector: str) -> list[Any]:
        return list(self.window.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        return self.window.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        return list(self.js("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector))

    def press(self, key: str) -> None:
        self.window.switch_to.active_element.send_keys(key)

    def choose(self, field: str, value: str) -> None:
        change = "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
        self.js(change + "e.dispatchEvent(new Event('input', {bubbles: true}))", field, value)

    def visible_cards(self) -> list[dict[str, Any]]:
        """The data behind the cards on the page."""
        shown = [int(label.removeprefix("Episode ")) for label in self.texts(".card h3")]
        data = json.loads(self.texts("#data")[0])["episodes"]
        return [data[number - 1] for number in shown]

    def show_all(self) -> None:
        self.js("for (const b = document.getElementById('more'); !b.hidden;) b.click()")

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.window.get_log("browser")]

    def requests(self) -> list[str]:
        """URLs that were really asked for; one that the policy refused counts as "refused"."""
        events = [json.loads(entry["message"])["message"] for entry in self.window.get_log("performance")]
        wanted = {e["params"]["requestId"]: e["params"]["request"]["url"] for e in events if e["method"] == SENT}
        for event in events:
            if event["method"] == "Network.loadingFailed" and event["params"].get("blockedReason") == "csp":
                wanted[event["params"]["requestId"]] = "refused"
        return [url for url in wanted.values() if not url.startswith("data:")]


@pytest.fixture(scope="module")
def page_file(whole_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = make_report(whole_run, ReportSettings(max_episodes=60))
    return report.save(whole_run, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def page(chromium: Any, page_file: Path) -> Page:
    return Page(chromium, page_file)


def test_opens_from_disk_without_a_request_or_a_complaint(page: Page, page_file: Path) -> None:
    page.js("scrollTo(0, document.body.scrollHeight)")
    page.show_all()
    assert page.js("return [...document.images].every(i => i.decode && i.src.startsWith('data:image/webp'))")
    page.window.execute_async_script("Promise.all([...document.images].map(i => i.decode())).then(arguments[0])")
    assert len(page.all(".card img")) > 100
    assert page.requests() == [page_file.as_uri()]
    assert page.complaints() == []


def test_policy_refuses_whatever_is_not_ours(page: Page, page_file: Path) -> None:
    page.js("const i = new Image(); i.src = 'https://example.invalid/a.png'; document.body.append(i)")
    page.js("const s = document.createElement('style'); s.textContent = 'body{display:none}'; document.head.append(s)")
    with pytest.raises(Exception, match="TrustedHTML"):
        page.js("document.body.innerHTML = '<b>x</b>'")
    assert page.js("return getComputedStyle(document.body).display") == "block"
    assert page.requests() == [page_file.as_uri(), "refused"]
    assert len([line for line in page.complaints() if "Content Security Policy" in line]) == 2


def test_hostile_text_is_shown_literally_and_does_nothing(chromium: Any, maker: Any, tmp_path: Path) -> None:
    episodes = []
    for number, text in enumerate(HOSTILE.values()):
        shots = tuple(
            dataclasses.replace(maker.shot(number * 9 + k, "open_qa", text, "support"), question=text) for k in range(2)
        )
        query = dataclasses.replace(maker.shot(500 + number, "open_qa", text, "query"), question=text)
        fields = dict.fromkeys(("concept", "format", "task", "selector", "order", "source", "licence"), text)
        episodes.append(maker.episode(number, demonstrations=shots, query=query, **fields))
    maker.stage("documents/<b>pages", 9, 7, dict.fromkeys(HOSTILE.values(), 1))
    run = maker.build(episodes)
    path = make_report(run).save(run, tmp_path / "hostile.html")
    for width in (1280, 360):
        page = Page(chromium, path, width)
        page.one("#reveal-all").click()
        assert page.js("return window.pwned") is None
        for kind in (".question .text", ".answer .text", ".concept"):
            assert set(HOSTILE.values()) <= set(page.texts(kind)), kind
        assert len(page.all(".card")) == len(HOSTILE)
        assert not page.all(".card b, .card script, .says img, bdi *")
        assert page.js("return document.documentElement.scrollWidth") <= width
        assert page.complaints() == []
        assert page.requests() == [path.as_uri()]


def test_filters_by_concept_format_shots_and_selector(page: Page) -> None:
    page.choose("concept", "ÄPFEL")
    page.show_all()
    cards = page.visible_cards()
    assert cards
    assert {card["concept"] for card in cards} == {"Äpfel & Birnen"}
    assert page.one("#count").text == f"{len(cards)} of 60 episodes"
    assert all(element.is_displayed() for element in page.all(".concept"))
    page.choose("concept", "")
    page.choose("format", "caption")
    page.choose("shots", "2")
    page.choose("selector", "rices")
    page.show_all()
    cards = page.visible_cards()
    assert cards
    assert {(card["format"], len(card["turns"]), card["selector"]) for card in cards} == {("caption", 3, "rices")}
    page.choose("concept", "no such thing")
    assert page.visible_cards() == []
    assert "No episode matches" in page.one("#count").text
    page.one("button[type=reset]").click()
    page.window.execute_async_script("setTimeout(arguments[0], 50)")
    assert page.one("#count").text == "60 of 60 episodes"
    assert len(page.visible_cards()) == 12


def test_more_episodes_come_on_demand_until_all_are_there(page: Page) -> None:
    page.one("#more").click()
    assert len(page.all(".card")) == 24
    page.show_all()
    assert [card["number"] for card in page.visible_cards()] == list(range(1, 61))
    assert not page.one("#more").is_displayed()


def test_the_answer_of_a_query_is_hidden_until_it_is_asked_for(page: Page) -> None:
    card = page.all(".card")[0]
    answer, button = card.find_element("css selector", ".hidden-answer"), card.find_element("css selector", ".reveal")
    concept = card.find_element("css selector", ".concept")
    assert (answer.is_displayed(), concept.is_displayed(), button.get_attribute("aria-expanded")) == (False, False, "false")
    button.click()
    assert (answer.is_displayed(), concept.is_displayed(), button.get_attribute("aria-expanded")) == (True, True, "true")
    assert answer.find_element("css selector", ".text").text == page.visible_cards()[0]["turns"][-1]["answer"]
    button.click()
    assert not answer.is_displayed()
    page.one("#reveal-all").click()
    page.show_all()
    assert all(element.is_displayed() for element in page.all(".hidden-answer"))


def test_keyboard_alone_searches_steps_and_reveals(page: Page) -> None:
    page.press("j")
    page.press("j")
    assert page.window.switch_to.active_element.get_attribute("aria-label") == "Episode 2"
    page.press("a")
    assert page.all(".hidden-answer")[1].is_displayed()
    page.press("k")
    assert page.window.switch_to.active_element.get_attribute("aria-label") == "Episode 1"
    page.press("/")
    page.press("j")
    assert page.js("return document.activeElement.id + document.activeElement.value") == "conceptj"
    for _ in range(11):
        page.js("document.querySelectorAll('.card')[document.querySelectorAll('.card').length - 1]?.focus()")
    page.choose("concept", "")
    page.js("[...document.querySelectorAll('.card')].at(-1).focus()")
    page.press("j")
    assert page.window.switch_to.active_element.get_attribute("aria-label") == "Episode 13"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_width_makes_the_page_scroll_sideways(chromium: Any, page_file: Path, width: int, scheme: str) -> None:
    page = Page(chromium, page_file, width, scheme)
    page.js("for (const d of document.querySelectorAll('details')) d.open = true")
    page.show_all()
    page.one("#reveal-all").click()
    assert page.js("return document.documentElement.scrollWidth") <= width
    assert page.complaints() == []


def test_text_has_contrast_in_both_themes(chromium: Any, page_file: Path) -> None:
    for scheme in ("light", "dark"):
        page = Page(chromium, page_file, 1280, scheme)
        ratios = page.js(
            CONTRAST, [".lead", ".about", ".unit", ".question .text", ".answer .text", ".chips li", ".reveal", ".lost"]
        )
        assert min(ratios.values()) >= 4.5, (scheme, ratios)


def test_theme_button_overrides_the_system(page: Page) -> None:
    light = page.js("return getComputedStyle(document.body).backgroundColor")
    page.one("#theme").click()
    page.one("#theme").click()
    assert page.one("#theme").text == "◐ Dark"
    assert page.js("return getComputedStyle(document.body).backgroundColor") != light


CONTRAST = """
const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgb = (colour) => { paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
  return [...paint.getImageData(0, 0, 1, 1).data]; };
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => {
  const c = rgb(getComputedStyle(e).backgroundColor);
  return c[3] || !e.parentElement ? c : behind(e.parentElement);
};
const found = {};
for (const name of arguments[0]) {
  const e = document.querySelector(name);
  const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
  found[name] = (a + 0.05) / (b + 0.05);
}
return found;
"""
