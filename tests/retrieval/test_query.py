"""A picture, a text or an id finds its nearest demonstrations; what cannot be compared is refused."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from curate.errors import ConfigError, InputError
from curate.retrieval import IndexSettings, Searcher, build_index, query


class Encoder:
    """Maps everything to the vector of d3."""

    name, fingerprint = "fake", "print"

    def __init__(self, vector: np.ndarray) -> None:
        self.vector, self.dim = vector.astype(np.float32)[None, :], len(vector)

    def encode_images(self, pictures: Sequence[object]) -> np.ndarray:
        return self.vector

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return self.vector


@pytest.fixture
def base(cloud: Callable[..., np.ndarray]) -> np.ndarray:
    vectors = cloud(30)
    vectors[20] = vectors[3]
    return vectors


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch, base: np.ndarray) -> Encoder:
    fake = Encoder(base[3])
    monkeypatch.setattr(query, "load_encoder", lambda name, image_space: fake)
    return fake


def no_encoder(name: str, image_space: str) -> None:
    raise AssertionError("an encoder was loaded")


def test_an_id_finds_its_neighbours_without_an_encoder(make_run, base: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "load_encoder", no_encoder)
    run = make_run(base, part=8)
    build_index(run, IndexSettings())
    hits = Searcher(run).by_id("d20", 4)
    assert len(hits) == 4
    assert (hits[0].id, round(hits[0].similarity, 2)) == ("d3", 1.0)
    assert (hits[0].concepts, hits[0].answer) == (("concept d3", "thing"), "it is d3")
    assert "d20" not in [hit.id for hit in hits]
    assert hits[0].image.startswith("images/")


def test_pictures_and_texts_are_encoded(make_run, base: np.ndarray, encoder: Encoder, picture) -> None:
    run = make_run(base)
    build_index(run, IndexSettings())
    searcher = Searcher(run)
    assert [hit.id for hit in searcher.by_image(picture(1), 2)] == ["d3", "d20"]
    assert [hit.id for hit in searcher.by_text("a cat", 2)] == ["d3", "d20"]


def test_texts_do_not_meet_images_in_the_towers_own_space(make_run, base: np.ndarray, encoder: Encoder, picture) -> None:
    run = make_run(base, image_space="tower")
    for space in ("image", "text"):
        build_index(run, IndexSettings(space=space))
    with pytest.raises(ConfigError, match="texts cannot be compared with images; run curate embed with --image-space joint"):
        Searcher(run).by_text("a cat")
    with pytest.raises(ConfigError, match="images cannot be compared with texts"):
        Searcher(run, "text").by_image(picture(1))
    assert Searcher(run).by_image(picture(1), 1)[0].id == "d3"
    assert Searcher(run, "text").by_text("a cat", 1)[0].id == "d3"


def test_another_encoder_than_the_one_that_embedded_is_refused(make_run, base: np.ndarray, encoder: Encoder) -> None:
    run = make_run(base)
    build_index(run, IndexSettings())
    encoder.fingerprint = "another"
    with pytest.raises(ConfigError, match="not the encoder that made these embeddings"):
        Searcher(run).by_text("a cat")


def test_bad_questions_are_told(make_run, base: np.ndarray, encoder: Encoder) -> None:
    run = make_run(base)
    build_index(run, IndexSettings())
    searcher = Searcher(run)
    with pytest.raises(InputError, match=r"no demonstration 'd333' .did you mean"):
        searcher.by_id("d333")
    with pytest.raises(InputError, match="cannot be read"):
        searcher.by_image(b"no picture")
    with pytest.raises(InputError, match="empty"):
        searcher.by_text(" ")


def test_an_index_of_earlier_embeddings_is_not_asked(make_run, base: np.ndarray) -> None:
    run = make_run(base)
    build_index(run, IndexSettings())
    make_run(base[::-1].copy())
    with pytest.raises(InputError, match="run curate index again"):
        Searcher(run).by_id("d1")


def test_demonstrations_that_are_gone_are_shown_by_id(make_run, base: np.ndarray) -> None:
    run = make_run(base)
    build_index(run, IndexSettings())
    (run.root / "demonstrations/made").remove("manifest.json")
    assert Searcher(run).by_id("d3", 1)[0].answer == ""
