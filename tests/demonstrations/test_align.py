"""Images get the words that belong to them: captions first, then alt texts, then the best sentences, once each."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from curate import images
from curate.demonstrations import AlignSettings, align, aligning
from curate.demonstrations.aligning import Vectors, telling, told
from curate.demonstrations.assigning import assign
from curate.demonstrations.sentences import concept, context_around, heading_before, is_heading, sentences_of, split
from curate.engine import Partition, StageManifest
from curate.engine import run as run_stage
from curate.errors import InputError
from curate.layout import Run
from curate.schema import Demonstration, Document, Image, Node, Provenance
from tests.written import Write

from .conftest import contents

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


class ColourScorer:
    """Knows three words and three colours."""

    fingerprint = "colours"

    def setup(self) -> None:
        self.ready = True

    def vectors_of_images(self, pictures: list[Any]) -> Vectors:
        assert self.ready
        means = np.array([np.asarray(picture).reshape(-1, 3).mean(0) for picture in pictures], np.float32)
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def vectors_of_texts(self, texts: list[str]) -> Vectors:
        found = np.array([[word in text for word in COLOURS] for text in texts], np.float32) + 0.01
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def text(words: str) -> Node:
    return Node("text", text=words)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.at(tmp_path / "run")


@pytest.fixture
def paint(run: Run) -> Callable[..., Node]:
    """`paint(colour, alt=, caption=)` gives an image node whose picture is stored."""
    import io

    from PIL import Image as Pillow

    def go(colour: str, size: int = 20, **more: str) -> Node:
        out = io.BytesIO()
        Pillow.new("RGB", (size, size), COLOURS[colour]).save(out, "PNG")
        facts = images.verify(out.getvalue())
        ref = run.images.put(out.getvalue(), facts.extension)
        return Node("image", image=Image(ref, facts.width, facts.height, facts.phash), **more)

    return go


def document(*nodes: Node, name: str = "page.html", title: str = "Colours") -> Document:
    return Document(name, "pages", title, "CC0", "en", nodes, (), Provenance("pages", name, ("mine:1",)))


def aligned(
    run: Run, documents: list[Document], scorer: Any = None, workers: int = 1, **settings: Any
) -> tuple[StageManifest, list[Demonstration]]:
    parts = [Partition(str(hash(tuple(chunk))), chunk) for chunk in ([one] for one in documents)]
    run_stage(Write(), parts, run.root / "documents" / "pages")
    [manifest] = align(AlignSettings(**settings), run, scorer, workers=workers)
    assert manifest.counts["in"] == manifest.counts["out"] + manifest.counts["dropped"] + manifest.counts["rejected"]
    return manifest, list(run.demonstrations())


RED, GREEN = "The red field is hot and bright.", "A green field is calm and cool."
BLUE = "Some blue water lies under the sky."


def test_captions_win_over_alts_and_alts_over_sentences(run: Run, paint: Any) -> None:
    page = document(
        text(RED + " " + GREEN),
        paint("red", caption="Figure 3. A field in flames", alt="something else entirely told here"),
        paint("green", alt="a meadow in the early spring"),
        paint("red", size=30),
    )
    manifest, shown = aligned(run, [page], ColourScorer())
    assert [d.answer for d in shown] == ["A field in flames", "a meadow in the early spring", RED]
    assert {(d.task, d.format, d.question, d.licence) for d in shown} == {("caption", "caption", "", "CC0")}
    assert shown[0].document_id == "page.html"
    assert shown[0].provenance.lineage[0] == "mine:1"
    assert shown[0].provenance.record == "page.html#1"
    assert manifest.settings["encoder"] == "colours"


def test_sentences_are_given_once_each_by_the_greatest_sum(run: Run, paint: Any) -> None:
    page = document(paint("blue"), text(GREEN + " " + BLUE), paint("green"), text(RED), paint("red"))
    _, shown = aligned(run, [page], ColourScorer())
    assert [d.answer for d in shown] == [BLUE, GREEN, RED]


def test_surplus_images_take_their_best_sentence_or_are_dropped(run: Run, paint: Any) -> None:
    page = document(paint("red"), text(RED), paint("red", size=30))
    _, shown = aligned(run, [page], ColourScorer())
    assert [d.answer for d in shown] == [RED, RED]
    manifest, shown = aligned(run, [page], ColourScorer(), surplus=False)
    assert (len(shown), manifest.dropped) == (1, {"no_sentence_left": 1})


def test_what_stays_below_the_floor_is_dropped_with_its_similarity(run: Run, paint: Any) -> None:
    manifest, shown = aligned(run, [document(text(RED), paint("blue"))], ColourScorer(), floor=0.5)
    assert (shown, manifest.dropped) == ([], {"below_floor": 1})
    dropped = run.root / "demonstrations" / "pages"
    assert b'"detail":"0.00' in dropped.read("dropped/part-00000.jsonl")


def test_without_an_encoder_only_told_images_are_there(run: Run, paint: Any) -> None:
    page = document(text(RED), paint("red"), paint("blue", caption="The sea at noon"))
    manifest, [shown] = aligned(run, [page])
    assert shown.answer == "The sea at noon"
    assert manifest.dropped == {"no_caption": 1}


def test_a_window_keeps_sentences_near(run: Run, paint: Any) -> None:
    page = document(text(RED), text("x"), text("y"), paint("red"), text(GREEN))
    _, [far] = aligned(run, [page], ColourScorer(), window=0)
    manifest, near = aligned(run, [page], ColourScorer(), window=1, floor=0.5)
    assert (far.answer, near, manifest.dropped) == (RED, [], {"below_floor": 1})


def test_context_and_concepts_come_from_around_the_image(run: Run, paint: Any) -> None:
    page = document(
        text("3.2. Warm Colours\n" + RED), text("Words before it."), paint("red"), text("Words after it."), title="Colours"
    )
    _, [shown] = aligned(run, [page], ColourScorer(), context_words=3)
    assert shown.concepts == ("Warm Colours", "Colours")
    assert shown.context == "Words before it.\nWords after it."


def test_a_heading_that_any_page_has_is_no_concept(run: Run, paint: Any) -> None:
    _, [shown] = aligned(run, [document(text("2.1. Overview"), paint("red", caption="Fields in red"), title="2. Displace")])
    assert shown.concepts == ("Displace",)


def test_a_repeated_image_with_the_same_words_counts_once(run: Run, paint: Any) -> None:
    twin = paint("red", caption="The red one again")
    manifest, shown = aligned(run, [document(twin, text(RED), twin)])
    assert (len(shown), manifest.dropped) == (1, {"repeated": 1})


def test_missing_and_damaged_pictures_are_rejected_and_the_others_stand(run: Run, paint: Any) -> None:
    gone = Node("image", image=Image("0" * 64 + ".png", 9, 9, "0" * 16))
    broken = Node("image", image=Image(run.images.put(b"no picture", "png"), 9, 9, "0" * 16))
    manifest, shown = aligned(run, [document(gone, broken, text(RED), paint("red"))], ColourScorer())
    assert [d.answer for d in shown] == [RED]
    assert manifest.rejected == {"missing_image": 1, "unknown_format": 1}


def test_a_page_of_large_pictures_is_never_all_in_memory(run: Run, paint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []

    class Counting(ColourScorer):
        def vectors_of_images(self, pictures: list[Any]) -> Vectors:
            groups.append(len(pictures))
            return super().vectors_of_images(pictures)

    monkeypatch.setattr(aligning, "TOGETHER_PIXELS", 2 * 20 * 20)
    page = document(text(RED), paint("red"), paint("green"), text(GREEN), paint("blue"), paint("blue", size=90), text(BLUE))
    _, shown = aligned(run, [page], Counting(), floor=-1)
    assert groups == [2, 1, 1]
    assert [d.answer for d in shown] == [RED, GREEN, BLUE, BLUE]


def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path, run: Run, paint: Any) -> None:
    pages = [document(paint("red"), text(f"{RED} {n}."), text(BLUE), paint("blue"), name=f"{n}.html") for n in range(8)]
    made = []
    for workers in (1, 4):
        other = Run.at(tmp_path / str(workers))
        for node in pages[0].nodes:
            if node.image:
                other.images.put(run.images.get(node.image.ref), "png")
        aligned(other, pages, ColourScorer(), workers)
        made.append(contents(tmp_path / str(workers)))
    assert made[0] == made[1]


def test_another_encoder_aligns_anew_and_a_misspelt_source_is_told(run: Run, paint: Any) -> None:
    first, _ = aligned(run, [document(text(RED), paint("red"))], ColourScorer())
    other = ColourScorer()
    other.fingerprint = "other"
    second, _ = aligned(run, [document(text(RED), paint("red"))], other)
    assert first.digest != second.digest
    with pytest.raises(InputError, match="there are no documents called page; there are: pages"):
        align(AlignSettings(), run, None, ["page"])


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(-1, 1).map(lambda v: round(v, 4)))
)
def test_no_sentence_is_given_twice_but_to_surplus_images_and_the_sum_is_greatest(similarity: Any) -> None:
    from itertools import permutations

    given_to = assign(similarity, surplus=True)
    images_, sentences = similarity.shape
    assert sorted(given_to) == list(range(images_))
    assigned = {row: found for row, found in given_to.items() if found[2] == "assigned"}
    columns = [column for column, _, _ in assigned.values()]
    assert len(set(columns)) == len(columns) == min(images_, sentences)
    for row, (column, value, how) in given_to.items():
        assert value == similarity[row, column]
        assert how == "assigned" or value == similarity[row].max()
    if images_ <= sentences <= 5:
        best = max(sum(similarity[r, c] for r, c in enumerate(p)) for p in permutations(range(sentences), images_))
        assert sum(value for _, value, _ in assigned.values()) == pytest.approx(best)


@pytest.mark.parametrize(
    ("words", "href", "kept"),
    [
        ("A red kite over the hills", "kite.png", "A red kite over the hills"),
        ("Figure 2.3. A red kite over hills", "x.png", "A red kite over hills"),
        ("Fig. 12: A red kite over hills", "x.png", "A red kite over hills"),
        ("image", "x.png", ""),
        ("Screenshot 3", "x.png", ""),
        ("a-very-long-file-name.png", "x.png", ""),
        ("red kite over hills", "dir/Red Kite Over Hills.png?size=2", ""),
        ("red kite", "x.png", ""),
        ("word " * 90, "x.png", ""),
    ],
)
def test_file_names_placeholders_and_scraps_say_nothing(words: str, href: str, kept: str) -> None:
    assert telling(words, 4, href, AlignSettings()) == kept


def test_switched_off_captions_and_alts_are_not_used() -> None:
    node = Node("image", alt="a meadow in the early spring", caption="The meadow at noon")
    found = [told(node, AlignSettings(captions=c, alts=a)) for c, a in ((True, True), (False, True), (False, False))]
    assert [words and words.how for words in found] == ["caption", "alt", None]


def test_sentences_end_at_marks_and_lines() -> None:
    assert split('He said "no." Then, e.g. in May, 3.5 of them left! Why? 他来了。她走了。') == [
        'He said "no."',
        "Then, e.g. in May, 3.5 of them left!",
        "Why?",
        "他来了。",
        "她走了。",
    ]
    page = document(text("Short.\n- This line has enough words in it.\nThis line has enough words in it."))
    assert [s.text for s in sentences_of(page, 4, 20)] == ["This line has enough words in it."]


@pytest.mark.parametrize(
    ("line", "yes"), [("2.1. Layer Menu", True), ("A sentence ends here.", False), ("lower case item", False), ("", False)]
)
def test_headings_are_short_lines_without_a_mark_at_their_end(line: str, yes: bool) -> None:
    assert is_heading(line) is yes


def test_headings_context_and_concepts() -> None:
    page = document(text("Chapter 3. Tools\nProse follows here, in a line."), text("Paths"), text("More prose, as it is."))
    assert heading_before(page, 3) == "Paths"
    assert heading_before(page, 1) == "Chapter 3. Tools"
    assert [concept(t) for t in ("Chapter 3. Tools", "3.2.1. The Dialog", "A.1 Notes", "Paths ")] == [
        "Tools",
        "The Dialog",
        "Notes",
        "Paths",
    ]
    assert context_around(page, 1, 2, "More") == "a line.\nprose,"


def test_context_of_many_images_in_a_long_page_takes_no_time() -> None:
    page = document(*[text("many words of one page") for _ in range(20_000)])
    began = time.process_time()
    for place in range(5000, 15_000, 10):
        assert context_around(page, place, 3) == "of one page\nmany words of"
    assert time.process_time() - began < 5
    assert context_around(page, 5000, 0) == ""
