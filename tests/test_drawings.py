"""A drawing becomes pixels or a reason; the process that asks for it always lives on."""

import time

import pytest

from curate import drawings
from curate.drawings import Renderer, checked
from curate.images import BadImage, verify

NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
SQUARE = '<rect x="10" y="10" width="50" height="30" fill="red"/>'


def svg(inside: str = SQUARE, size: str = 'width="100" height="50"', before: str = "") -> bytes:
    return f"{before}<svg {NS} {size}>{inside}</svg>".encode()


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(size=64, seconds=5)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ('width="100" height="50"', (64, 32)),
        ('width="1e9" height="1e9"', (64, 64)),
        ('width="40pt" height="80pt"', (32, 64)),
        ('viewBox="0 0 30 30"', (64, 64)),
    ],
)
def test_the_longer_side_is_what_was_asked_for_whatever_the_drawing_claims(
    renderer: Renderer, size: str, shown: tuple[int, int]
) -> None:
    facts = verify(renderer.render(svg(size=size)))
    assert (facts.width, facts.height) == shown


def test_equal_drawings_give_equal_bytes(renderer: Renderer) -> None:
    other = Renderer(size=64)
    assert renderer.render(svg()) == other.render(svg())


def test_entities_that_only_abbreviate_a_namespace_are_fine(renderer: Renderer) -> None:
    head = '<!DOCTYPE svg [<!ENTITY ns "http://www.w3.org/2000/svg">]>'
    drawing = f'{head}<svg xmlns="&ns;" width="10" height="10"><rect width="5" height="5"/></svg>'
    assert verify(renderer.render(drawing.encode())).width == 64


def uses(levels: int, fan: int) -> str:
    groups = (f'<g id="g{n}">' + f'<use xlink:href="#g{n - 1}"/>' * fan + "</g>" for n in range(1, levels))
    return f'<g id="g0">{SQUARE}</g>' + "".join(groups)


def backwards(levels: int) -> str:
    return "".join(f'<g id="g{n}"><use href="#g{n + 1}"/></g>' for n in range(levels)) + f'<g id="g{levels}"/>'


HOSTILE = {
    "svg_corrupt": [b"\x00\x01", svg()[:-5], svg(size='width="0" height="0"')],
    "unknown_format": [b"<html><body/></html>"],
    "svg_too_deep": [svg("<g>" * 60_000 + "</g>" * 60_000), svg(uses(150, 1)), svg(backwards(60))],
    "svg_too_complex": [svg(uses(9, 10)), svg("<g/>" * 100_001)],
    "svg_reference_loop": [svg('<g id="a"><use xlink:href="#b"/></g><g id="b"><use href="#a"/></g>')],
    "svg_external_reference": [
        svg('<image xlink:href="/etc/hostname" width="9" height="9"/>'),
        svg('<image href="http://127.0.0.1/x.png" width="9" height="9"/>'),
        svg('<use href="other.svg#a"/>'),
        svg('<image href="data:image/svg+xml;base64,AAAA" width="9" height="9"/>'),
    ],
    "svg_entity": [
        svg(before='<!DOCTYPE svg [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]>'),
        svg(before='<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
        svg(before=f'<!DOCTYPE svg [<!ENTITY a "{"x" * 1000}">]>'),
    ],
    "empty": [b""],
}


@pytest.mark.parametrize(("reason", "data"), [(reason, data) for reason, many in HOSTILE.items() for data in many])
def test_hostile_drawings_have_a_reason(renderer: Renderer, reason: str, data: bytes) -> None:
    with pytest.raises(BadImage) as caught:
        renderer.render(data)
    assert caught.value.reason == reason


def test_a_large_file_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawings, "MAX_BYTES", 100)
    with pytest.raises(BadImage, match="svg_too_large"):
        checked(svg(" " * 200))


def test_a_drawing_that_takes_too_long_is_given_up_and_the_next_one_is_drawn() -> None:
    renderer = Renderer(size=200, seconds=1)
    slow = (
        '<filter id="f"><feGaussianBlur stdDeviation="1000"/></filter>'
        + '<rect width="100" height="50" filter="url(#f)"/>' * 9000
    )
    began = time.monotonic()
    with pytest.raises(BadImage, match="svg_timeout"):
        renderer.render(svg(slow))
    assert time.monotonic() - began < 15  # about two seconds of processor time
    assert verify(renderer.render(svg())).width == 200


def test_a_renderer_that_dies_is_a_reason_and_the_next_one_is_started() -> None:
    renderer = Renderer(size=64)
    renderer.render(svg())
    assert renderer._helper is not None
    renderer._helper.kill()
    renderer._helper.wait()
    assert verify(renderer.render(svg())).width == 64


def test_a_drawing_that_overflows_the_renderers_stack_kills_only_the_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawings, "checked", lambda data: data.decode())  # as if the first look had missed it
    renderer = Renderer(size=64)
    with pytest.raises(BadImage, match="svg_crashed"):
        renderer.render(svg("<g>" * 100_000 + "</g>" * 100_000))
    assert verify(renderer.render(svg())).width == 64
