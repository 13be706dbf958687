"""A benchmark as tasks of lmms-eval: the demonstrations' pictures are kept, and answers score as ours do."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from typer.testing import CliRunner

from curate.errors import IntegrityError
from curate.storage import Folder
from pipelines.cli import app
from pipelines.lmms import export_lmms, task
from tests.pipelines.small_bench import small_bench
from train.evaluate import metrics

Draw = Callable[..., bytes]

installed = pytest.mark.skipif(
    importlib.util.find_spec("lmms_eval") is None, reason="lmms-eval is not installed (pip install --no-deps lmms-eval)"
)


def docs_of(folder: Path, shots: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"items-{shots}.jsonl").read_text().splitlines()]


@pytest.fixture
def exported(tmp_path: Path, picture: Draw, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = export_lmms(small_bench(tmp_path / "bench", picture), Folder.of(tmp_path / "out"))
    assert names == ["shotcraft_tiny_0shot", "shotcraft_tiny_2shot"]
    monkeypatch.setattr(task, "IMAGES", tmp_path / "out" / "tiny" / "images")
    return tmp_path / "out"


def test_demonstrations_come_as_turns_with_their_own_pictures(exported: Path) -> None:
    doc = docs_of(exported / "tiny", 2)[1]
    messages = task.doc_to_messages(doc)
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert [[part["type"] for part in message["content"]] for message in messages[::2]] == [["image", "text"]] * 3
    assert [message["content"][0]["text"] for message in messages[1::2]] == ["B", "A"]
    shown = [message["content"][0]["url"] for message in messages[::2]]
    assert [one.tobytes() for one in shown] == [one.tobytes() for one in task.doc_to_visual(doc)]
    assert len({one.tobytes() for one in shown}) == 3
    assert "A" not in str([part.get("text") for part in messages[-1]["content"]])


def test_as_one_text_every_picture_has_its_mark(exported: Path) -> None:
    doc = docs_of(exported / "tiny", 2)[0]
    assert task.doc_to_text(doc) == "<image>\nQ0?\nA\n\n<image>\nQ1?\nB\n\n<image>\nQ9?"
    assert task.doc_to_text(doc, {"image_mark": "<img>"}).count("<img>") == len(task.doc_to_visual(doc))
    assert task.doc_to_text(docs_of(exported / "tiny", 0)[0]) == "<image>\nQ9?"


def test_pictures_are_the_original_bytes_and_are_seen_on_white(exported: Path, tmp_path: Path, picture: Draw) -> None:
    stored = sorted((exported / "tiny" / "images").iterdir())
    assert [place.read_bytes() for place in stored] == [
        (tmp_path / "bench" / "images" / place.name[:2] / place.name).read_bytes() for place in stored
    ]
    place = exported / "tiny" / "images" / "clear.png"
    Pillow.new("RGBA", (4, 4), (255, 0, 0, 0)).save(place)
    assert task.picture(place.name).getpixel((1, 1)) == (255, 255, 255)


def test_questions_count_as_invariant_only_when_right_in_every_arrangement(exported: Path) -> None:
    docs = docs_of(exported / "tiny", 2)
    found = [task.process_results(doc, [said]) for doc, said in zip(docs, ["A", "(B)", "A.", "a) yes"], strict=True)]
    assert [one["score"] for one in found] == [1.0, 0.0, 1.0, 1.0]
    assert task.mean([one["score"] for one in found]) == 0.75
    assert task.invariant([one["invariant"] for one in found]) == 0.5
    assert task.process_results(docs[0], [])["score"] == 0.0


WORDS = st.sampled_from(
    ["a", "A", "the", "B", "b.", "(A)", "cat", "Cats", "dog,", "two", "2", "1,000", "don't", "3.5", "Ｃ", ""]
)
TEXT = st.one_of(st.lists(WORDS, max_size=4).map(" ".join), st.text(max_size=8))


@given(TEXT, st.lists(TEXT, min_size=1, max_size=5))
def test_answers_score_as_our_own_evaluation_scores_them(said: str, answers: list[str]) -> None:
    for metric in ("exact", "soft", "vqa"):
        assert task.right(metric, said, (), answers) == metrics.TEXT_METRICS.get(metric)(said, answers)
    assert task.named_choice(said, answers) == metrics.named_choice(said, answers)


def test_a_picture_name_that_leads_elsewhere_is_refused(tmp_path: Path, picture: Draw) -> None:
    bench = small_bench(tmp_path / "bench", picture)
    image = bench.items[0].episode.query.images[0]
    object.__setattr__(image, "ref", f"{image.ref}/../../x.png")
    with pytest.raises(IntegrityError, match="which no store of ours would"):
        export_lmms(bench, Folder.of(tmp_path / "out"))


def test_the_command_says_how_to_go_on(tmp_path: Path, picture: Draw) -> None:
    small_bench(tmp_path / "bench", picture)
    ran = CliRunner().invoke(app, ["bench", "export-lmms", str(tmp_path / "bench"), "--out", str(tmp_path / "o"), "--json"])
    assert ran.exit_code == 0
    assert json.loads(ran.stdout)["tasks"] == ["shotcraft_tiny_0shot", "shotcraft_tiny_2shot"]


@installed
@pytest.mark.parametrize("kind", ["chat", "simple"])
def test_lmms_eval_takes_the_tasks(exported: Path, kind: str) -> None:
    from lmms_eval.protocol import ChatMessages
    from lmms_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(exported), include_defaults=False)
    assert manager.all_subtasks == ["shotcraft_tiny_0shot", "shotcraft_tiny_2shot"]
    assert "shotcraft_tiny" in manager.all_tags
    loaded = manager.load_task_or_group(["shotcraft_tiny"], task_type=kind)
    made = loaded["shotcraft_tiny_2shot"]
    made.build_all_requests()
    assert len(made.instances) == 4
    doc = made.test_docs()[0]
    if kind == "chat":
        _, messages, settings, *_ = made.instances[0].args
        images, _, _ = ChatMessages(messages=messages(doc)).extract_media()
        assert len(images) == 3
        hf = ChatMessages(messages=messages(doc)).to_hf_messages()
        assert [part["type"] for message in hf for part in message["content"]] == [
            "image", "text", "text", "image", "text", "text", "image", "text"
        ]  # fmt: skip
    else:
        context, settings, visuals, *_ = made.instances[0].args
        assert context.count("<image>") == len(visuals(doc)) == 3
    assert settings["max_new_tokens"] == 16
    rows = [made.process_results(one, ["A"] if number % 2 else ["B"]) for number, one in enumerate(made.test_docs())]
    scores = {name: made.aggregation()[name]([row[name] for row in rows]) for name in ("score", "invariant")}
    assert scores == {"score": 0.5, "invariant": 0.0}
