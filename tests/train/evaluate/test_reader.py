"""A reader's numbers: those of the model's class, however they are computed and whatever else is asked."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curate.errors import ConfigError, InputError
from curate.shards import Sample
from tests.train.evaluate.reader_asks import LETTERS, NAMES, ask, asks, reader, shot
from train.data.collate import Collate
from train.data.records import Loaded
from train.evaluate.lines import _record
from train.evaluate.proving import noise
from train.evaluate.reader import ReaderSettings, VlmReader, name_of
from train.evaluate.records import Ask, Picture, Turn
from train.loss import Targets, token_losses

FAMILIES = ("vicuna", "qwen", "idefics")
MORE = ("next", "onevision", "qwen25")
CLOSE = 1e-4


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def flat(scores: list[list[float]]) -> np.ndarray:
    return np.array([score for row in scores for score in row])


@pytest.mark.parametrize("name", FAMILIES + MORE)
def test_every_way_gives_what_the_class_itself_gives(name: str) -> None:
    plain = flat(reader(name, way="plain").likelihoods(asks()))
    for way in ("rows", "trees"):
        assert flat(reader(name, way=way).likelihoods(asks())) == pytest.approx(plain, abs=CLOSE)


@pytest.mark.parametrize(("name", "mode"), [("vicuna", "single"), ("qwen", "images_first")])
def test_so_in_every_mode(name: str, mode: str) -> None:
    plain = flat(reader(name, way="plain", mode=mode).likelihoods(asks()))
    assert flat(reader(name, mode=mode).likelihoods(asks())) == pytest.approx(plain, abs=CLOSE)


def test_so_with_eager_attention() -> None:
    quick = reader("vicuna", "eager")
    assert quick.way == "trees"
    assert flat(quick.likelihoods(asks())) == pytest.approx(flat(reader("vicuna").likelihoods(asks())), abs=CLOSE)


@pytest.mark.parametrize("name", FAMILIES)
def test_likelihoods_are_the_losses_that_training_would_see(name: str) -> None:
    """Of a choice's own tokens: behind them come blanks of the template and the end of the turn."""
    one, question = reader(name), ask(2, 2, NAMES)
    pictures = tuple(picture.data for turn in (*question.demonstrations, question.query) for picture in turn.pictures)
    samples = [Sample("x", "s", json.dumps(_record(question, choice)).encode(), pictures, ()) for choice in NAMES]
    batch = Collate(one._renderer)([(Loaded(at, sample),) for at, sample in enumerate(samples)])
    targets = Targets.of(batch)
    with torch.no_grad():
        losses = token_losses(one._model, batch, targets)
    own = [len(line) - line.start for line in one._lines.of_choices(question)]
    assert [int((targets.rows == row).sum()) - count for row, count in enumerate(own)] == [2 if name == "vicuna" else 1] * 3
    seen = [-float(losses[targets.rows == row][:count].sum()) for row, count in enumerate(own)]
    assert one.likelihoods([question]) == [pytest.approx(seen, abs=CLOSE)]


@pytest.mark.parametrize("name", FAMILIES)
def test_answers_do_not_depend_on_the_batch(name: str) -> None:
    small, large = reader(name, batch_tokens=1), reader(name, batch_tokens=1 << 20)
    questions = asks()
    alone = [row for question in questions for row in small.likelihoods([question])]
    for one in (small, large):
        assert flat(one.likelihoods(questions)) == pytest.approx(flat(alone), abs=1e-5)
        assert flat(one.likelihoods(questions[::-1])[::-1]) == pytest.approx(flat(alone), abs=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_written_is_what_the_class_would_write_at_any_batch_size(name: str) -> None:
    plain = reader(name, way="plain").generate(asks(), 5)
    assert all(text is not None for text in plain)
    for size in (1, 1 << 20):
        assert reader(name, batch_tokens=size).generate(asks(), 5) == plain


def test_writing_ends_at_the_end_of_a_turn() -> None:
    one = reader("chatml")
    whole = one.generate([ask(1)], 6)
    first, *_ = one._way.write([one._lines.prompt(ask(1))], 1, frozenset())[0]  # type: ignore[misc]
    one._ends = frozenset({first})
    assert one.generate([ask(1)], 6) == [""]
    assert whole != [""]
    assert one._lines.ends() == set(one._lines._tokenizer.convert_tokens_to_ids(["<|im_end|>", "</s>"]))


def test_an_ask_that_does_not_fit_is_left_unanswered_and_counted() -> None:
    """It would fit without its demonstrations, which never go silently."""
    one = reader(max_tokens=100)
    long, short = ask(1, 8), ask(2, 0)
    assert one.likelihoods([long, short, long]) == [[], one.likelihoods([short])[0], []]
    assert one.generate([long, short], 2)[0] is None
    assert one.skipped == {"too_long": 3}


def test_a_bad_picture_leaves_its_asks_unanswered_and_no_others() -> None:
    torn = Picture("f" * 64 + ".png", b"no picture", 40, 40)
    other = noise(3, 40, 40)
    lying = Picture(other.ref, other.data, 64, 64)
    bad = [Ask("torn", (Turn((torn,), "What?", "A"),), shot(1), LETTERS), Ask("lying", (), Turn((lying,), "What?"), NAMES)]
    for way in ("plain", "rows", "trees"):
        one = reader(way=way)
        alone = one.likelihoods([ask(1)])[0]
        assert one.likelihoods([bad[0], ask(1), bad[1]]) == [[], pytest.approx(alone, abs=1e-5), []]
        assert one.generate([*bad, ask(1)], 2)[:2] == [None, None]
        assert sum(one.skipped.values()) == 4
        assert one.skipped["other_size"] == 2


def test_choices_that_begin_alike_and_an_only_choice() -> None:
    one, plain = reader(), reader(way="plain")
    question = ask(1, 1, ("a bovine", "a bird", "a", "a bovine, a bird"))
    assert one.likelihoods([question]) == [pytest.approx(plain.likelihoods([question])[0], abs=CLOSE)]
    assert one.likelihoods([ask(1, 1, ("a bird",))])[0] == [pytest.approx(one.likelihoods([question])[0][1], abs=CLOSE)]


def test_no_choices_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="no choices"):
        reader().likelihoods([ask(1, 1, ())])


def test_nothing_asked_nothing_answered() -> None:
    assert reader().likelihoods([]) == []
    assert reader().generate([]) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_is_near(name: str) -> None:
    exact, near = (flat(reader(name, dtype=dtype).likelihoods(asks())) for dtype in ("float32", "bfloat16"))
    assert near == pytest.approx(exact, abs=0.5)
    assert not np.array_equal(near, exact)
    assert len(reader(name, dtype="bfloat16").generate(asks(), 3)) == len(asks())


# Where the quick ways would be wrong.


def _halve(module: torch.nn.Module, inputs: Any, output: Any) -> Any:
    output.logits = output.logits / 2
    return output


def scaled(name: str = "vicuna", **settings: Any) -> VlmReader:
    """Of a class that halves its logits behind the head."""
    one = reader(name, way="plain")
    one._model.register_forward_hook(_halve)
    return VlmReader(one._model, one._renderer, ReaderSettings(**settings))


def test_a_class_that_computes_otherwise_is_read_by_itself() -> None:
    one = scaled()
    assert one.way == "plain"
    assert flat(one.likelihoods(asks())) != pytest.approx(flat(reader().likelihoods(asks())), abs=0.1)
    with pytest.raises(ConfigError, match="set way to plain"):
        scaled(way="trees")


# From a folder.


def test_a_reader_comes_from_a_folder(model: Path) -> None:
    one = VlmReader.load(model, ReaderSettings(threads=1))
    assert flat(one.likelihoods(asks())) == pytest.approx(flat(reader().likelihoods(asks())), abs=CLOSE)
    assert one.name == model.name
    with pytest.raises(InputError, match="does not exist"):
        VlmReader.load(model / "nothing" / "here")


def test_facts_tell_readers_apart(model: Path) -> None:
    one, same, other = reader(), reader(batch_tokens=7, cache_mb=1), reader(mode="single")
    assert json.loads(json.dumps(one.facts())) == same.facts()
    assert other.facts() != one.facts()
    with torch.no_grad():
        one._model.get_output_embeddings().weight[3, 3] += 1
    changed = VlmReader(one._model, one._renderer, one.settings)
    assert changed.facts()["weights"] != same.facts()["weights"]


def test_names_are_short(tmp_path: Path) -> None:
    assert name_of("owner/model") == "owner/model"
    assert name_of(str(tmp_path)) == tmp_path.name
    assert name_of("runs/icl/checkpoints/step-00000500") == "icl/step-00000500"
