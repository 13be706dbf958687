"""CIDEr and ROUGE-L of captions, by the libraries that papers use."""

import builtins
from typing import Any

import pytest

from curate.errors import MissingToolError
from train.evaluate import captions
from train.evaluate.captions import cider, rouge_l

REFERENCES = {
    "q0": ("a red car on a road", "the red car drives"),
    "q1": ("two dogs in the snow",),
    "q2": ("a bowl of green apples",),
    "q3": ("an old house by the sea",),
}
SAID = [("q0", "A red car on a road."), ("q1", "two dogs"), ("q2", "an old house")]


@pytest.fixture(autouse=True)
def _installed() -> None:
    pytest.importorskip("pycocoevalcap", reason="needs shotcraft[captions]")
    pytest.importorskip("rouge_score", reason="needs shotcraft[captions]")


def test_cider_is_what_the_library_gives_for_the_whole_corpus() -> None:
    from pycocoevalcap.cider.cider import Cider

    whole = {"q0": ["a red car on a road"], "q1": ["two dogs"], "q2": ["an old house"], "q3": [""]}
    _, expected = Cider().compute_score({key: list(value) for key, value in REFERENCES.items()}, whole)
    assert cider(SAID, REFERENCES) == pytest.approx(expected[:3].tolist())
    assert cider(SAID, REFERENCES)[0] > cider(SAID, REFERENCES)[1] > 0


def test_a_caption_scores_the_same_whatever_else_is_asked() -> None:
    assert cider(SAID[:1], REFERENCES)[0] == cider(SAID, REFERENCES)[0]


def test_arrangements_of_a_question_are_scored_one_by_one() -> None:
    doubled = [SAID[0], ("q0", "nothing of this"), SAID[1], ("q1", "two dogs")]
    first, other, second, same = cider(doubled, REFERENCES)
    assert [first, second, same] == [*cider(SAID, REFERENCES)[:2], cider(SAID, REFERENCES)[1]]
    assert other < first


def test_one_group_alone_has_no_rare_words() -> None:
    assert cider([("q", "a cat")], {"q": ("a cat",)}) == [0.0]


def test_rouge_l_is_that_of_the_closest_reference() -> None:
    assert rouge_l("the red car drives", REFERENCES["q0"]) == 1.0
    assert rouge_l("", REFERENCES["q0"]) == 0.0
    assert rouge_l("x", ()) == 0.0


def test_a_missing_library_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pycocoevalcap"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingToolError, match=r"shotcraft\[captions\]"):
        captions.check_captions()
