"""Each filter drops what its threshold says, and says why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.documents.filters import FILTERS, DocumentFilter, ImageFilter, TextFilter
from curate.documents.filters.base import made
from curate.documents.filters.language import language_of
from curate.documents.filters.repetition import character_repetition, word_repetition
from curate.documents.filters.wording import special_ratio, stop_word_ratio
from curate.documents.settings import MineSettings, presets, settings_of
from curate.errors import ConfigError
from curate.schema import Document, Image, Node, Provenance
from curate.settings import Settings

SENTENCE = "This is a text that people might write when they have something to say about the weather in the north."


def image(width: int = 300, height: int = 200, extension: str = "png") -> Image:
    return Image(f"{'0' * 64}.{extension}", width, height, "0" * 16)


def document(*texts: str, images: int = 1, language: str = "en") -> Document:
    nodes = [Node("text", text=text) for text in texts] + [Node("image", image=image())] * images
    return Document("d", "s", "", "", language, tuple(nodes), (), Provenance("s", "r"))


def judged_image(name: str, picture: Image, href: str = "a.png", **thresholds: object) -> str | None:
    (rule,) = made(ImageFilter, {name: thresholds})
    drop = rule.judge(picture, href)
    return drop.detail if drop else None


def judged_text(name: str, text: str, language: str = "en", **thresholds: object) -> str | None:
    (rule,) = made(TextFilter, {name: thresholds})
    drop = rule.judge(text, language)
    return drop.detail if drop else None


def judged(name: str, subject: Document, **thresholds: object) -> str | None:
    (rule,) = made(DocumentFilter, {name: thresholds})
    drop = rule.judge(subject)
    return drop.detail if drop else None


def test_image_filters_look_at_sides_aspect_format_and_address() -> None:
    assert judged_image("image_side", image(150, 150)) is None
    assert judged_image("image_side", image(149, 500)) == "149 x 500"
    assert judged_image("image_side", image(200, 20_001)) == "200 x 20001"
    assert judged_image("image_aspect", image(400, 200)) is None
    assert judged_image("image_aspect", image(200, 401)) == "200 x 401"
    assert judged_image("image_format", image(extension="gif")) == "gif"
    assert judged_image("image_format", image(extension="gif"), allow=["gif"]) is None
    assert judged_image("image_address", image(), "img/site-Logo.png?v=1") == "logo"
    assert judged_image("image_address", image(), "icons/tree.png") is None


def test_words_of_nodes_and_documents_are_counted() -> None:
    assert judged_text("node_words", "one two three") == "3"
    assert judged_text("node_words", "one two three", min=3) is None
    assert judged_text("node_words", "x " * 1001) == "1001"
    assert judged("document_words", document("one two three", "four five")) == "5"
    assert judged("document_words", document(SENTENCE)) is None
    assert judged("document_images", document(images=0)) == "0"
    assert judged("document_images", document(images=31)) == "31"


def test_stop_words_tell_prose_from_keywords() -> None:
    assert judged_text("node_stop_words", SENTENCE) is None
    assert judged_text("node_stop_words", "cheap red shoes buy online discount") == "0.000"
    assert judged_text("node_stop_words", "cheap red shoes buy online discount", "xx") is None
    assert judged("document_stop_words", document("cheap red shoes", language="en")) == "0.000"
    assert stop_word_ratio("It’s the (end), and we're here.", "en") == pytest.approx(5 / 6)
    assert stop_word_ratio("... --- !!!", "en") is None


def test_special_characters_are_all_that_is_no_letter() -> None:
    assert special_ratio("ab 1") == 0.5
    assert special_ratio("") == 0.0
    assert judged_text("node_special_characters", "12.5 | 13.7 | 99") == "1.000"
    assert judged_text("node_special_characters", SENTENCE) is None
    assert judged("document_special_characters", document("{}[]();;==abc")) is not None


def test_repetition_is_measured_in_characters_and_words() -> None:
    assert word_repetition(["a", "b", "c", "a", "b", "d"], 2) == pytest.approx(2 / 5)
    assert word_repetition(["a"], 5) == 0.0
    assert character_repetition("abcabc", 3) == pytest.approx(2 / 4)
    assert character_repetition("abc", 10) == 0.0
    assert judged_text("node_character_repetition", "=-" * 40) is not None
    assert judged_text("node_word_repetition", "buy now and save big " * 8) is not None
    assert judged_text("node_word_repetition", SENTENCE) is None
    assert judged("document_character_repetition", document(*["Buy it now."] * 30)) is not None
    assert judged("document_word_repetition", document(*[SENTENCE] * 5)) is not None


@given(st.text(max_size=200), st.integers(1, 12))
def test_ratios_are_ratios(text: str, n: int) -> None:
    for ratio in (character_repetition(text, n), word_repetition(text.split(), n), special_ratio(text)):
        assert 0.0 <= ratio <= 1.0


def test_languages_are_told_without_a_download() -> None:
    assert language_of(SENTENCE)[0] == "en"
    assert language_of("Dies ist ein kurzer Text, den man ohne Mühe als deutsch erkennen sollte.")[0] == "de"
    assert language_of("12 34") == ("", 0.0)
    assert judged("language", document(language="de")) == "de"
    assert judged("language", document(language="")) is None
    assert judged("language", document(language="de"), allow=["de", "fr"]) is None
    assert judged("language", document(language="de"), allow=[]) is None


def test_presets_are_valid_and_obelics_is_the_filters_own_defaults() -> None:
    assert presets() == ["manual", "mmc4", "none", "obelics"]
    chosen = settings_of("obelics").filters
    assert set(chosen) == set(FILTERS)
    assert chosen == {name: FILTERS.get(name).Thresholds().model_dump(mode="json") for name in FILTERS}
    assert settings_of("none").filters == {}
    assert all(isinstance(settings_of(name), MineSettings) for name in presets())


def test_thresholds_can_be_set_and_filters_turned_off() -> None:
    chosen = settings_of("obelics", overrides=["filters.image_side.min=64", "filters.language=null"]).filters
    assert chosen["image_side"] == {"min": 64, "max": 20_000}
    assert "language" not in chosen
    chosen = settings_of("none", {"filters": {"node_words": {"min": 2}}}, ["pages.boilerplate=true"])
    assert chosen.filters == {"node_words": {"min": 2, "max": 1000}}
    assert chosen.pages.boilerplate


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("filters.image_sides.min=1", "image_side"),
        ("filters.image_side.mim=1", "did you mean 'min'"),
        ("filters.image_side.min=-1", "greater than or equal to 0"),
        ("page.boilerplate=true", "did you mean 'pages'"),
    ],
)
def test_unknown_settings_are_errors_that_name_the_nearest(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings_of("obelics", overrides=[override])


def test_an_unknown_preset_is_an_error() -> None:
    with pytest.raises(ConfigError, match="did you mean 'obelics'"):
        settings_of("obelisk")


def test_every_filter_has_thresholds_and_a_docstring() -> None:
    for name in FILTERS:
        rule = FILTERS.get(name)
        assert issubclass(rule.Thresholds, Settings)
        assert rule.__doc__
