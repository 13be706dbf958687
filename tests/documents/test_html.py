"""Pages become blocks in reading order: content all there, furniture gone."""

import re
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from curate.documents.html.blocks import ImageBlock, TextBlock, joined
from curate.documents.html.chrome import mark_of_names
from curate.documents.html.pages import Page, read_page
from curate.documents.html.pictures import srcset


def page(body: str, boilerplate: bool = False) -> Page:
    return read_page(f"<html><head><title> A  title </title></head><body>{body}</body></html>".encode(), boilerplate)


def blocks(body: str, boilerplate: bool = False) -> list[str]:
    """Text blocks as they are, images as `[href | alt | caption]`."""
    found = joined(page(body, boilerplate).blocks)
    return [f"[{' '.join(b.hrefs)} | {b.alt} | {b.caption}]" if isinstance(b, ImageBlock) else b.text for b in found]


PROSE = "The quick brown fox jumps over the lazy dog while everybody else is watching from the other side. " * 5


def test_inline_elements_join_and_block_elements_split() -> None:
    html = "<h1>Head</h1><p>One <b>two</b>\n <a href=x>three</a>,<i>four</i></p>five<div>six<p>seven</p>eight</div>"
    assert blocks(html) == ["Head", "One two three,four", "five", "six", "seven", "eight"]
    assert page(html).title == "A title"


def test_a_break_is_a_line_and_two_breaks_are_a_paragraph() -> None:
    assert blocks("<p>one<br>two<br><br>three<br/> <br/>four</p>") == ["one\ntwo", "three", "four"]


def test_lists_are_one_block_with_marks() -> None:
    assert blocks("<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul><p>x</p>") == ["- a\n- b\n- c", "x"]
    assert blocks("<ol start=3><li><p>a</p><p>b</p></li><li>c</li></ol>") == ["3. a\nb\n4. c"]
    assert blocks("<dl><dt>term</dt><dd>what it means</dd></dl>") == ["term", "what it means"]


def test_an_image_in_a_list_stands_where_it_is() -> None:
    assert blocks("<ol><li>a</li><li>b <img src=x.png> c</li></ol>") == ["1. a\n2. b", "[x.png |  | ]", "c"]


def test_a_paragraph_around_a_picture_keeps_one_number() -> None:
    found = page("<p>press <img src=x.png> now</p>").blocks
    assert [type(b).__name__ for b in found] == ["TextBlock", "ImageBlock", "TextBlock"]
    assert [b.text for b in joined([found[0], found[2]])] == ["press now"]


def test_preformatted_text_keeps_its_lines() -> None:
    assert blocks("<pre>\na\n  <b>b</b>  \n\nc\n</pre>") == ["a\n  b\n\nc"]


def test_tables_of_data_are_rows_and_tables_of_layout_are_blocks() -> None:
    table = "<table><caption>T</caption><tr><th>a</th><th>b</th></tr><tr><td>1<br>x</td><td><p>2</p></td></tr></table>"
    assert blocks(table) == ["T\na | b\n1 x | 2"]
    assert blocks("<table><tr><td><h2>a</h2></td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>") == ["a", "b", "c", "d"]
    assert blocks("<table><tr><td><img src=i.png></td><td>b</td></tr></table>") == ["[i.png |  | ]", "b"]


@pytest.mark.parametrize(
    "furniture",
    [
        "<nav>Menu</nav>",
        "<div class='navheader'><a href=x>Prev</a> Chapter</div>",
        "<div id=sidebar-nav><ul><li><a href=x>One</a></li></ul></div>",
        "<ul class='breadcrumb'><li>Home</li><li>Here</li></ul>",
        "<div class='mainMenu'>File</div>",
        "<div class=cookie-banner>We use cookies to make your life better.</div>",
        f"<div class='gdpr-consent'>{PROSE}</div>",
        "<footer>© 2020</footer>",
        "<div class='site-footer'>About us</div>",
        "<header><a href=/>Site</a></header>",
        "<div role=navigation>x</div>",
        "<div role=search><input><button>Go</button></div>",
        "<form><label>Name</label><input></form>",
        "<div hidden>x</div>",
        "<div style='color:red; display : none'>x</div>",
        "<p aria-hidden=true>x</p>",
        "<span class='sr-only'>x</span>",
        "<script>x</script><style>y</style><template>z</template><noscript>Enable scripts</noscript>",
        "<a rel=next href=x><img src=arrow.png></a>",
        "<a accesskey=p href=x><img src=images/p1.png alt=Prev></a>",
        "<a href=x><img src=prev.gif></a>",
        "<a href=x><img src=f.png width=16 height=16></a>",
        "<img src=t.gif width=1 height=1>",
        "<div class=toc><a href=1>One</a><a href=2>Two</a></div>",
        "<aside><a href=1>More stories</a></aside>",
        "<div class=related><a href=1>Related</a></div>",
        "<svg><text>x</text></svg><iframe>y</iframe><select><option>z</select><textarea>t</textarea>",
        "<!-- comment -->",
    ],
)
def test_furniture_goes(furniture: str) -> None:
    text = f"<p>{PROSE}</p>"
    assert blocks(f"{text}{furniture}{text}") == [PROSE.strip(), PROSE.strip()]


@pytest.mark.parametrize(
    "content",
    [
        f"<div class='has-sidebar no-nav'><p>{PROSE}</p></div>",
        f"<div class='menu'><p>{PROSE}</p></div>",
        f"<form id=aspnetForm><p>{PROSE}</p></form>",
        f"<div style='visibility:hidden'><p>{PROSE}</p></div>",
        f"<div class='header'><p>{PROSE}</p></div>",
        f"<article><header><p>{PROSE}</p></header></article>",
        f"<article><footer><p>{PROSE}</p></footer></article>",
        f"<aside><p>{PROSE}</p></aside>",
        f"<p hidden=until-found>{PROSE}</p>",
        f"<details><p>{PROSE}</p></details>",
        f"<div class='tags'>{PROSE}</div>",
        f"<main class='page-menu'><p>{PROSE}</p></main>",
        f"<my-element>{PROSE}</my-element>",
        f"<p class='copyright-text note'>{PROSE}</p>",
    ],
)
def test_content_stays_whatever_it_is_called(content: str) -> None:
    assert blocks(content) == [PROSE.strip()]


def test_the_words_of_a_link_in_a_sentence_stay() -> None:
    assert blocks("<p>Use the <a class='link' href=x>Guides</a> to <a class=button>position</a> it.</p>") == [
        "Use the Guides to position it."
    ]


def test_the_first_heading_of_a_site_header_stays() -> None:
    assert blocks("<header><nav>x</nav><h1>The page</h1></header><p>Text</p>") == ["The page", "Text"]


def test_boilerplate_can_be_kept() -> None:
    assert blocks("<nav>Menu</nav><div class=toc><a>x</a></div><a rel=next><img src=n.png></a>", boilerplate=True) == [
        "Menu", "x", "[n.png |  | ]",
    ]  # fmt: skip


def test_captions_go_to_their_pictures() -> None:
    assert blocks("<figure><img src=a.png alt=A><figcaption>Cap <b>tion</b></figcaption></figure>x") == [
        "[a.png | A | Cap tion]",
        "x",
    ]
    docbook = (
        "<div class=figure><p class=title><b>Figure 1. Two</b></p><div class=mediaobject><img src=a.png>"
        "<div class=caption><p>Left</p></div></div><div class=mediaobject><img src=b.png></div></div>"
    )
    assert blocks(docbook) == ["[a.png |  | Figure 1. Two: Left]", "[b.png |  | Figure 1. Two]"]
    assert blocks("<div class='wp-caption'><img src=a.png><p class='wp-caption-text'>Cap</p></div>") == ["[a.png |  | Cap]"]
    assert blocks("<div class='thumb'><img src=a.png><div class=thumbcaption>Cap</div></div>") == ["[a.png |  | Cap]"]
    assert blocks("<img src=a.png><p class=caption>Cap</p><p>x</p>") == ["[a.png |  | Cap]", "x"]


def test_a_caption_without_a_picture_stays_text() -> None:
    assert blocks("<figure><pre>code</pre><figcaption>Listing</figcaption></figure>") == ["code", "Listing"]
    assert blocks("<p>x</p><p class=caption>Cap</p>") == ["x", "Cap"]


def test_a_file_name_is_no_alternative_text() -> None:
    assert blocks("<img src=a/b.png alt=a/b.png title='Two words'>") == ["[a/b.png | Two words | ]"]
    assert blocks("<img src=a.png alt='Save as a.png'>") == ["[a.png | Save as a.png | ]"]


def test_title_stands_in_for_a_missing_alt() -> None:
    assert blocks("<img src=a.png title='A  title'>") == ["[a.png | A title | ]"]


def test_the_largest_usable_address_comes_first() -> None:
    assert blocks("<img src=s.png srcset='m.png 640w, l.png 1280w,s.png 320w'>") == ["[l.png m.png s.png |  | ]"]
    assert blocks("<img src=s.png srcset='a,b.png 2x, data:image/png;base64,AA== 1x'>") == [
        "[a,b.png data:image/png;base64,AA== s.png |  | ]"
    ]
    picture = (
        "<picture><source type=image/avif srcset=x.avif><source srcset='w.webp 900w' type=image/webp>"
        "<source srcset='big.jpg 1800w'><img src=s.jpg alt=A></picture>"
    )
    assert blocks(picture) == ["[big.jpg w.webp s.jpg | A | ]"]


@pytest.mark.parametrize("attribute", ["data-src", "data-original", "data-lazy-src"])
def test_lazy_attributes_replace_the_placeholder(attribute: str) -> None:
    assert blocks(f"<img src='data:image/gif;base64,R0' {attribute}=real.png>") == ["[real.png |  | ]"]
    assert blocks(f"<img src='/img/blank.gif' {attribute}=real.png>") == ["[real.png |  | ]"]
    assert blocks(f"<img src=small.png {attribute}=real.png>") == ["[real.png small.png |  | ]"]
    assert blocks("<img data-srcset='a.png 1x, b.png 2x'>") == ["[b.png a.png |  | ]"]


def test_a_noscript_fallback_gives_the_address() -> None:
    assert blocks("<img class=lazy data-x=1><noscript><img src=real.png alt=R></noscript>") == ["[real.png | R | ]"]
    assert blocks("<p>t</p><noscript><img src=real.png></noscript>") == ["t", "[real.png |  | ]"]
    assert blocks("<noscript><img src=//t.example/p height=1 width=1></noscript>") == []


@pytest.mark.parametrize(
    "data",
    [
        "<p>Grüße</p>".encode(),
        b"\xef\xbb\xbf<p>Gr\xc3\xbc\xc3\x9fe</p>",
        "<p>Grüße</p>".encode("latin-1"),
        "<meta charset=utf-8><p>Grüße</p>".encode("latin-1"),  # declared wrong
        "<meta charset=iso-8859-1><p>Grüße</p>".encode(),  # declared wrong
        "<?xml version='1.0' encoding='iso-8859-15'?><p>Grüße</p>".encode("iso-8859-15"),
        '<meta http-equiv=Content-Type content="text/html; charset=windows-1252"><p>Grüße</p>'.encode("cp1252"),
        "<meta charset=no-such-thing><p>Grüße</p>".encode("cp1252"),
        "<meta charset=base64><p>Grüße</p>".encode("cp1252"),
        "<p>Grüße</p>".encode("utf-16"),
        "<html><p>Grüße</p>".encode("utf-16-le"),
        "<html><p>Grüße</p>".encode("utf-16-be"),
        "<meta charset=utf-16><p>Grüße</p>".encode(),
    ],
)
def test_encodings_are_seen_through(data: bytes) -> None:
    assert [b.text for b in joined(read_page(data).blocks)] == ["Grüße"]


def test_other_alphabets_are_read_as_declared() -> None:
    data = "<meta charset=koi8-r><p>Привет, как дела</p>".encode("koi8-r")
    assert [b.text for b in joined(read_page(data).blocks)] == ["Привет, как дела"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_page"),
        (b" \n", "empty_page"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 99, "not_html"),
        (b"PK\x03\x04" + b"x" * 99, "not_html"),
        (b"abc\0\0\0\0\1\2\0" * 99, "not_html"),
        (b"<p>" * 999, "page_too_large"),
    ],
)
def test_what_is_no_page_says_so(data: bytes, reason: str) -> None:
    from curate.documents.html.encodings import BadPage

    with pytest.raises(BadPage) as caught:
        read_page(data, max_bytes=2000)
    assert caught.value.reason == reason


@pytest.mark.parametrize("tag", ["div", "figure", "div class=caption", "div class=mediaobject", "span", "a", "blockquote"])
def test_deep_nesting_neither_crashes_nor_loses_text(tag: str) -> None:
    deep = f"<{tag}>" * 5000 + "bottom <img src=x.png>" + f"</{tag.split()[0]}>" * 5000
    if "caption" in tag:
        assert blocks(f"<p>top</p>{deep}") == ["top", "[x.png |  | bottom]"]
        return
    if tag in ("span", "a"):
        assert blocks(f"<p>top</p>{deep}") == ["top", "bottom", "[x.png |  | ]"]
        return
    assert blocks(f"<p>top</p>{deep}") == ["top", "bottom", "[x.png |  | ]"]


@pytest.mark.parametrize(
    "part",
    [
        "<li>a",
        "<p>a",
        "<noscript><img src=x></noscript>",
        "<img src=x>",
        "<div class=menu>",
        "a<br>",
        "<b><i>",
        "<figure>",
        "<table><tr><td>",
    ],
)
def test_time_grows_with_the_page_and_not_with_its_square(part: str) -> None:
    """Four times the page takes sixteen times as long if the time grows with the square. The parser is not counted: where
    elements nest thousands deep it looks through all open ones for each, as the HTML standard has it."""

    def seconds(repeats: int) -> float:
        body = "<ol>" + part * repeats
        began = time.process_time()
        LexborHTMLParser(body)
        parsed = time.process_time()
        joined(page(body).blocks)
        return time.process_time() - parsed - (parsed - began)

    for _ in range(3):  # a neighbour on the core can lengthen one of the readings
        small, large = seconds(5_000), seconds(20_000)
        if large < 9 * max(small, 0.02):
            return
    raise AssertionError(f"{large:.2f} s, and {small:.2f} s for a quarter of the page")


word = st.text("abcdefgh", min_size=1, max_size=5)
inline = st.builds(
    lambda tag, text: f"<{tag}>{text}</{tag}>" if tag else text, st.sampled_from(["", "b", "a", "span", "em"]), word
)
sentence = st.lists(inline, min_size=1, max_size=4).map(" ".join)
leaf = st.one_of(
    st.builds(
        lambda tag, s: f"<{tag}>{s}</{tag}>", st.sampled_from(["p", "h2", "div", "blockquote", "pre", "section"]), sentence
    ),
    st.lists(sentence, min_size=1, max_size=3).map(lambda items: "<ul>" + "".join(f"<li>{i}</li>" for i in items) + "</ul>"),
    st.builds(lambda a, b: f"<table><tr><td>{a}</td><td>{b}</td></tr><tr><td>{b}</td><td>{a}</td></tr></table>", word, word),
    st.builds(lambda s: f"<figure><img src=x.png><p>{s}</p></figure>", sentence),
    sentence,
)
trees = st.recursive(leaf, lambda inner: st.lists(inner, max_size=4).map(lambda parts: "<div>" + "".join(parts) + "</div>"))


@given(trees)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_text_is_lost_and_its_order_is_kept(html: str) -> None:
    shown = re.findall("[a-h]+", re.sub("<[^>]+>", lambda tag: "" if re.match("</?(b|a|span|em)>", tag[0]) else " ", html))
    for boilerplate in (False, True):
        text = "\n".join(b.text for b in joined(page(html, boilerplate).blocks) if not isinstance(b, ImageBlock))
        assert re.findall("[a-h]+", text) == shown


ANY = st.characters(exclude_characters="\0\ufffd", exclude_categories=["Cs"])
TAGS = ["p", "/p", "div", "/div", "table", "tr", "td", "/table", "img src=x", "ul", "li", "/ul", "figure", "figcaption",
        "a", "/a", "b", "/b", "form", "/form", "noscript", "/noscript", "picture", "pre", "br", "select", "svg", "template",
        "div class=caption", "div class=menu", "header", "footer", "h1", "!--", "body", "/body", "frameset"]  # fmt: skip


@given(st.lists(st.one_of(st.sampled_from(TAGS).map(lambda t: f"<{t}>"), st.text(ANY, max_size=8)), max_size=60).map("".join))
@example("<figure><figure><img><figcaption><figcaption>")
@settings(max_examples=300, deadline=None)
def test_broken_html_never_crashes(html: str) -> None:
    joined(page(html).blocks)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_page_or_a_reason(data: bytes) -> None:
    from curate.documents.html.encodings import BadPage

    try:
        read_page(data)
    except BadPage as error:
        reason = error.reason
    else:
        reason = "read"
    assert reason in ("read", "empty_page", "not_html")


@pytest.mark.parametrize("name", ["utf-16", "utf-32-le", "utf-7", "punycode", "unicode_escape", "raw_unicode_escape", "idna"])
def test_a_declaration_that_no_page_can_mean_is_not_believed(name: str) -> None:
    html = f"<html><head><meta charset={name}></head><body><p>A caf\xe9 +AGE- \\u0041 here.</p></body></html>"
    assert [b.text for b in read_page(html.encode("latin-1")).blocks if isinstance(b, TextBlock)] == [
        "A caf\xe9 +AGE- \\u0041 here."
    ]


def test_megabytes_of_candidates_and_names_take_no_time_and_no_memory() -> None:
    began = time.process_time()
    many = srcset("a 1w, " * 500_000)
    assert (len(many), many[0]) == (48, ("a", 1.0))
    mark_of_names.cache_clear()
    for number in range(5):
        page(f"<div class='{'x' * 1_000_000}{number}' id='{'y' * 1_000_000}{number}'>text</div>")
    assert mark_of_names.cache_info().currsize == 2  # what is remembered of a name is short, however long the name
    assert time.process_time() - began < 10


@pytest.mark.parametrize("opening", ["<div>", "<span>", "<b>", "<table><tr><td>", "<svg>"])
def test_a_tower_of_elements_is_refused_in_no_time(opening: str) -> None:
    import time

    from curate.documents.html.encodings import BadPage

    began = time.process_time()
    with pytest.raises(BadPage, match="too_deep"):
        read_page(f"<html><body>{opening * 300_000}".encode())
    assert time.process_time() - began < 2.0


def test_long_lists_that_never_close_their_items_are_no_tower() -> None:
    page = "<html><body><ul>" + "<li>One of very many items<br>" * 20_000 + "</ul>"
    assert len(read_page(page.encode()).blocks) >= 20_000
