"""How right an answer is."""

import pytest

from tests.train.evaluate.tiny_benches import letter_items
from train.evaluate.metrics import exact, named_choice, normal, score_likelihoods, score_text, soft
from train.evaluate.vqa import plain, vqa_accuracy

ITEM = letter_items(1, (1,))[0]  # the right letter is A


def test_the_likeliest_choice_is_the_answer() -> None:
    assert score_likelihoods(ITEM, [-1.0, -2.0]) == ("A", 1.0)
    assert score_likelihoods(ITEM, [-3.0, -2.0]) == ("B", 0.0)


def test_equally_likely_choices_share() -> None:
    assert score_likelihoods(ITEM, [-2.0, -2.0]) == ("A", 0.5)


@pytest.mark.parametrize("scores", [[], [float("nan"), float("nan")]])
def test_an_item_without_scores_is_not_right(scores: list[float]) -> None:
    assert score_likelihoods(ITEM, scores) == (None, 0.0)


def test_what_did_not_fit_is_not_right() -> None:
    assert score_text("exact", ITEM, None) == (None, 0.0)


@pytest.mark.parametrize(
    ("said", "choice"),
    [("A", "A"), ("b", "B"), ("B.", "B"), ("(B) a cat", "B"), ("A: dog", "A"), ("", None), ("cat", None), ("Because", None)],
)
def test_a_written_choice_is_read(said: str, choice: str | None) -> None:
    assert named_choice(said, ("A", "B")) == choice


def test_the_longest_of_choices_that_begin_alike_is_meant() -> None:
    assert named_choice("red car.", ("red", "red car", "house")) == "red car"
    assert named_choice("Red", ("red", "red car")) == "red"


def test_choices_that_differ_in_case_alone_are_told_apart() -> None:
    assert named_choice("a", ("A", "a")) == "a"


def test_normalising_drops_articles_and_punctuation_but_never_all() -> None:
    assert normal("  The  Cat. ") == "cat"
    assert normal("A") == "a"
    assert normal("“Ｃａｔ”") == "cat"
    assert normal("...") == "..."


def test_exact_wants_the_whole_answer_and_soft_words_of_it() -> None:
    assert exact("A cat.", ["cat"]) == 1
    assert exact("cat on a mat", ["cat"]) == 0
    assert soft("cat on a mat", ["cat"]) == 1
    assert soft("It is the cat", ["cat"]) == 1
    assert soft("catalogue", ["cat"]) == 0
    assert soft("anything", [""]) == 0


@pytest.mark.parametrize(("agreeing", "accuracy"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_vqa_accuracy_of_ten_annotators_is_the_published_one(agreeing: int, accuracy: float) -> None:
    answers = ["yes"] * agreeing + ["no"] * (10 - agreeing)
    assert vqa_accuracy("Yes.", answers) == pytest.approx(accuracy)


def test_vqa_accuracy_of_one_annotator_is_exact_match() -> None:
    assert vqa_accuracy("two dogs", ["2 dogs"]) == 1
    assert vqa_accuracy("dogs", ["2 dogs"]) == 0
    assert vqa_accuracy("dogs", []) == 0


def test_vqa_answers_are_compared_in_a_plain_form() -> None:
    assert plain("The dogs don't, 1,000.5!") == "dogs dont 1000.5"
    assert plain("10:30") == "10:30"
    assert plain("t-shirt") == "t shirt"
    assert plain("None.") == "0"
