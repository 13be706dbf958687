"""Addresses resolve inside the source and never outside it."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.documents.references import NoReference, data_uri, names_of, short


@pytest.mark.parametrize(
    ("href", "page", "base", "names"),
    [
        ("a.png", "x.html", "", ["a.png"]),
        ("img/a.png#top", "d/x.html", "", ["d/img/a.png"]),
        ("../a.png", "d/e/x.html", "", ["d/a.png"]),
        ("./d/../a.png", "x.html", "", ["a.png"]),
        ("/a.png", "d/x.html", "", ["a.png"]),
        ("a%20b.png", "x.html", "", ["a b.png", "a%20b.png"]),
        ("a.php?id=1", "x.html", "", ["a.php", "a.php?id=1"]),
        (" a\n.png ", "x.html", "", ["a.png"]),
        ("d\\a.png", "x.html", "", ["d/a.png"]),
        ("a.png", "d/x.html", "assets/", ["d/assets/a.png"]),
        ("a.png", "d/x.html", "../other/page.html", ["other/a.png"]),
        ("a.png", "d/x.html", "/root/", ["root/a.png"]),
        ("", "d/x.html", "", []),
    ],
)
def test_addresses_lead_to_names(href: str, page: str, base: str, names: list[str]) -> None:
    found = names_of(href, page, base)
    assert found == names or (not names and found == ["d"])


@pytest.mark.parametrize(
    ("href", "base", "reason"),
    [
        ("http://x.example/a.png", "", "remote"),
        ("HTTPS://x.example/a.png", "", "remote"),
        ("//cdn.example/a.png", "", "remote"),
        ("a.png", "https://x.example/", "remote"),
        ("../../a.png", "", "outside_source"),
        ("%2e%2e/%2e%2e/a.png", "", "outside_source"),
        ("..\\..\\a.png", "", "outside_source"),
        ("c:\\a.png", "", "outside_source"),
        ("a%00.png", "", "outside_source"),
        ("file:///etc/passwd", "", "unsupported_scheme"),
        ("javascript:x", "", "unsupported_scheme"),
        ("cid:1", "", "unsupported_scheme"),
    ],
)
def test_other_addresses_have_a_reason(href: str, base: str, reason: str) -> None:
    with pytest.raises(NoReference) as caught:
        names_of(href, "d/x.html", base)
    assert caught.value.reason == reason


@given(st.text("./\\%2eEfa:?#", max_size=30), st.text("./a", max_size=10))
def test_no_address_leaves_the_source(href: str, base: str) -> None:
    try:
        names = names_of(href, "d/x.html", base)
    except NoReference:
        names = []
    assert all(not name.startswith("/") and ".." not in name.split("/") for name in names)


def test_data_addresses_are_decoded_within_a_limit() -> None:
    packed = base64.b64encode(b"hello?>").decode()
    assert data_uri(f"data:image/png;base64,{packed}", 100) == b"hello?>"
    assert data_uri(f"data:image/png;base64,{packed[:4]}%0A {packed[4:].rstrip('=')}", 100) == b"hello?>"
    assert data_uri("data:image/png;base64," + base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode(), 100) == b"\xff\xfe\xfd"
    assert data_uri("data:,a%20b", 100) == b"a b"
    assert short(f"data:image/png;base64,{packed}") == "data:image/png;base64,…"


@pytest.mark.parametrize(
    ("href", "reason"),
    [("data:image/png;base64,@@@", "bad_data_uri"), ("data:image/png", "bad_data_uri"), ("data:," + "x" * 99, "too_large")],
)
def test_bad_data_addresses_have_a_reason(href: str, reason: str) -> None:
    with pytest.raises(NoReference) as caught:
        data_uri(href, 20)
    assert caught.value.reason == reason
