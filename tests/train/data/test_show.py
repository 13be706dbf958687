"""A dump says what is there: every token is in one piece, pictures are folded, learned text is marked."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from curate.errors import InputError
from curate.shards.plans import Plan
from curate.storage import Folder
from tests.train.tiny_episodes import tiny_episode, tiny_plan, tiny_record
from tests.train.tiny_processors import NAMES
from train.data.lengths import measure
from train.data.loader import Loader, LoaderSettings
from train.data.reading import SampleReader
from train.data.records import Loaded
from train.data.rendering import Renderer, RenderSettings
from train.data.show import ShownRow, shown, step_rows
from train.data.show_text import as_page, as_text, readable

if TYPE_CHECKING:
    from transformers import ProcessorMixin

LOAD = LoaderSettings(batch=2, max_tokens=600, workers=0)


def rows_of(plan: Plan, renderer: Renderer, step: int = 0) -> list[ShownRow]:
    return list(shown(plan, renderer, step_rows(plan, measure(plan, renderer), LOAD, step), LOAD.max_tokens))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["turns", "single", "images_first"])
def test_pieces_are_the_episode(processors: "dict[str, ProcessorMixin]", episodes_plan: Plan, name: str, mode: Any) -> None:
    renderer = Renderer(processors[name], RenderSettings(mode=mode, max_tokens=600, loss="weighted"))
    reader = SampleReader(episodes_plan)
    for row in shown(episodes_plan, renderer, [(0, 1, 2), (3,), (4,)], 600):
        for episode in row.episodes:
            [read] = reader.read([episode.sample])
            assert isinstance(read, Loaded)
            rendered = renderer.render(read.sample.record)
            assert [p.start for p in episode.pieces] == np.cumsum([0, *(p.tokens for p in episode.pieces)])[:-1].tolist()
            assert sum(p.tokens for p in episode.pieces) == len(rendered.input_ids) == episode.tokens
            assert [p.image for p in episode.pieces if p.image is not None] == list(rendered.images)
            assert sum(p.tokens for p in episode.pieces if p.image is not None) == rendered.image_tokens
            assert sum(p.tokens for p in episode.pieces if p.weight) == episode.supervised
            assert all((rendered.weights[p.start : p.start + p.tokens] == p.weight).all() for p in episode.pieces)


def test_a_step_is_the_loaders_step(processors: "dict[str, ProcessorMixin]", episodes_plan: Plan) -> None:
    renderer = Renderer(processors["qwen"], RenderSettings(max_tokens=600))
    lengths = measure(episodes_plan, renderer)
    with Loader(episodes_plan, lambda rows: rows, LOAD, lengths) as loader:
        for step, batches in enumerate(loader):
            served = [tuple(each.number for each in row) for rows in batches for row in rows]
            assert sorted(served) == sorted(step_rows(episodes_plan, lengths, LOAD, step))
    with pytest.raises(InputError, match="no step"):
        step_rows(episodes_plan, lengths, LOAD, step + 1)


def test_text_says_where_an_episode_lies_and_what_is_learned(processors: "dict[str, ProcessorMixin]", tmp_path: Path) -> None:
    record, pictures = two_turns()
    plan = tiny_plan(Folder.of(tmp_path), [(record, pictures)], shards=1)
    renderer = Renderer(processors["qwen"], RenderSettings(loss="weighted", demonstration_weight=0.5))
    text = "\n".join(as_text(shown(plan, renderer, [(0,)], 200)))
    assert text.splitlines()[0].startswith("row 0: 6")
    assert "positions 0 to 6" in text
    assert "tiny · open_qa · 1 shot · 00000000 in part-00000.tar" in text
    assert "<|vision_start|>[image 0: 4 tokens]<|vision_end|>What is it?<|im_end|>" in text
    assert "| [[red<|im_end|>]]x0.5" in text
    assert text.endswith("| [[blue<|im_end|>]]")


def test_a_row_of_several_episodes_has_their_places(processors: "dict[str, ProcessorMixin]", episodes_plan: Plan) -> None:
    for row in rows_of(episodes_plan, Renderer(processors["qwen"], RenderSettings(max_tokens=600))):
        starts = [episode.start for episode in row.episodes]
        assert starts == np.cumsum([0, *(episode.tokens for episode in row.episodes)])[:-1].tolist()
        assert row.filled == sum(episode.tokens for episode in row.episodes) <= row.positions == 600
        assert row.padding == pytest.approx(1 - row.filled / 600)


def test_what_steers_a_terminal_or_a_page_is_shown_instead(processors: "dict[str, ProcessorMixin]", tmp_path: Path) -> None:
    record, pictures = two_turns()
    record["query"]["question"], record["query"]["answer"] = "\x1b[31mred\x07 <script>alert(1)</script>", "blue\x00"
    record["source"] = "<b>\x1b"
    plan = tiny_plan(Folder.of(tmp_path), [(record, pictures)], shards=1)
    made = list(shown(plan, Renderer(processors["qwen"]), [(0,)], 200))
    text, page = "\n".join(as_text(made)), as_page(made, "<i>")
    assert readable("\x1b[31m") == "\\x1b[31m"
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "\\x1b[31mred\\x07" in text
    assert "<script>" not in page
    assert "<b>" not in page
    assert '<mark title="weight 1">blue\\x00' in page


def test_a_sample_that_cannot_be_used_says_why(processors: "dict[str, ProcessorMixin]", tmp_path: Path) -> None:
    record, pictures = two_turns()
    record["query"]["answer"] = ""
    plan = tiny_plan(Folder.of(tmp_path), [(record, pictures)], shards=1)
    text = "\n".join(as_text(shown(plan, Renderer(processors["qwen"]), [(0,), ()], None)))
    assert "skipped: tiny · open_qa · 00000000 in part-00000.tar: empty_answer" in text
    assert "nothing but padding" in text


def two_turns() -> tuple[dict[str, Any], list[bytes]]:
    episode, pictures = tiny_episode(5, 1)
    record = tiny_record(episode)
    record["demonstrations"][0] |= {"question": "What is it?", "answer": "red"}
    record["query"] |= {"question": "What is it?", "answer": "blue"}
    return record, pictures
