"""Benchmarks of other projects: what their harness would ask is what the frozen benchmark asks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.benches import Bench, Item
from curate.benchmarks.importing.bring import Brought, bring, import_bench, prepare
from curate.benchmarks.importing.llava import options_of
from curate.errors import ConfigError, InputError, QualityError
from curate.storage import Folder
from tests.conftest import draw_picture


def pictures(folder: Path, count: int, start: int = 0) -> list[str]:
    """Pictures in a folder, `p0.png` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"p{start + at}.png" for at in range(count)]
    for at, name in enumerate(names):
        (folder / name).write_bytes(draw_picture(start + at, (64, 64)))
    return names


def write(folder: Path, **files: Any) -> Path:
    """JSON files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return folder


def brought(kind: str, path: Path, max_rejected: float = 1.0, **settings: Any) -> Brought:
    """What an import finds."""
    return bring(kind, path, prepare(kind, settings, "benches/some"), max_rejected)


def said(item: Item) -> list[str]:
    """What the demonstrations of an item say, in order."""
    return [shot.answer for shot in item.episode.demonstrations]


def open_mi(folder: Path, queries: int = 4) -> Path:
    """VL-ICL Bench's task of made-up names: three classes with three pictures each."""
    names = pictures(folder / "open_mi", 9 + queries)
    support = {f"c{at}": {"images": [f"open_mi/{name}" for name in names[at * 3 : at * 3 + 3]]} for at in range(3)}
    rows = [
        {
            "id": at,
            "image": [f"open_mi/{names[9 + at]}"],
            "question": "This is a",
            "answer": f"c{at % 3}",
            "classes": list(support),
            "support": support,
        }
        for at in range(queries)
    ]
    return write(folder / "open_mi", query=rows, support=[])


def test_made_up_names_stand_two_against_each_other(tmp_path: Path) -> None:
    items = brought("vl-icl", open_mi(tmp_path), shots=[0, 1, 2]).items
    assert [item.shots for item in items] == [0, 1, 2] * 4
    for item in items:
        assert sorted({*said(item)}) == sorted({*said(item)} | ({item.answers[0]} if item.shots else set()))
        assert len(said(item)) == 2 * item.shots
        assert said(item) == said(item)[:2] * item.shots
        assert item.choices == ()
    few, many = items[1].episode.demonstrations, items[2].episode.demonstrations
    assert many[:2] == few


def test_either_class_first_makes_copying_the_first_right_half_the_time(tmp_path: Path) -> None:
    found = brought("vl-icl", open_mi(tmp_path), shots=[1], orders="both", scoring="choice")
    assert [len(item.choices) for item in found.items] == [2] * 8
    assert len({item.group for item in found.items}) == 4
    scores = found.manifest.baselines["1"]
    assert {scores[name] for name in ("chance", "copy-first", "copy-last", "majority")} == {0.5}


def test_an_operator_picks_its_result_from_every_demonstration(tmp_path: Path) -> None:
    names = pictures(tmp_path / "ops", 6)
    support = [
        {"id": at, "image": [name], "question": "?", "answer": [10 + at, 20 + at, 30 + at]}
        for at, name in enumerate(names[:4])
    ]
    queries = [
        {"id": at, "image": [names[4]], "question": "?", "answer": 7, "operator": sign} for at, sign in enumerate("+-x")
    ]
    items = brought("vl-icl", write(tmp_path / "ops", query=queries, support=support), shots=[3]).items
    assert [{answer[0] for answer in said(item)} for item in items] == [{"1"}, {"2"}, {"3"}]
    assert {item.answers for item in items} == {("7",)}


def test_pairs_show_one_that_matches_and_one_that_does_not(tmp_path: Path) -> None:
    names = pictures(tmp_path / "matching", 8)
    ask = lambda a, b, answer: {"image": [names[a], names[b]], "question": "Same?", "answer": answer}  # noqa: E731
    support = [{"same": ask(0, 1, "yes"), "diff": ask(2, 3, "no")}, {"same": ask(3, 4, "yes"), "diff": ask(4, 5, "no")}]
    items = brought("vl-icl", write(tmp_path / "matching", query=[ask(6, 7, "no")], support=support), shots=[2]).items
    assert said(items[0]) == ["yes", "no", "yes", "no"]
    assert {len(shot.images) for shot in items[0].episode.demonstrations} == {2}


def test_plain_tasks_draw_any_demonstrations_and_those_of_few_are_among_those_of_many(tmp_path: Path) -> None:
    names = pictures(tmp_path / "textocr", 8)
    rows = [{"image": [name], "question": "Read.", "answer": f"word{at}"} for at, name in enumerate(names)]
    folder = write(tmp_path / "textocr", query=rows[:3], support=rows[3:])
    items = brought("vl-icl", folder, shots=[1, 2, 4]).items
    for at in range(3):
        one, two, four = (said(item) for item in items[3 * at : 3 * at + 3])
        assert four[:2] == two
        assert two[:1] == one
    assert brought("vl-icl", folder, shots=[1, 2, 4]).items == items
    assert brought("vl-icl", folder, shots=[1, 2, 4], seed=1).items != items


def test_tasks_that_ask_for_pictures_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "cobsat", query=[{"latent": "x", "answer": ["a", "b"], "image": ["a.png"]}], support=[])
    with pytest.raises(InputError, match="asks for pictures"):
        brought("vl-icl", folder)


def vqa(folder: Path, split: str, count: int, start: int) -> None:
    """VQAv2-style files with COCO's picture names."""
    names = pictures(folder, count, start)
    for at, name in enumerate(names):
        (folder / name).rename(folder / f"COCO_val2014_{start + at:012}.jpg")
    asked = [{"question_id": start + at, "image_id": start + at, "question": f"What is {at}?"} for at in range(count)]
    told = [
        {"question_id": row["question_id"], "answers": [{"answer": word} for word in ("cat", "dog", "dog")]} for row in asked
    ]
    write(folder, **{f"{split}_questions": {"questions": asked}, f"{split}_annotations": {"annotations": told}})


def test_questions_keep_all_annotators_answers_the_commonest_first(tmp_path: Path) -> None:
    vqa(tmp_path, "val", 4, 0)
    found = brought("flamingo", tmp_path, shots=[0, 2])
    assert {item.answers for item in found.items} == {("dog", "cat", "dog")}
    assert found.manifest.metric == "vqa"
    for item in found.items:
        mine = {image.ref for image in item.episode.query.images}
        assert len(said(item)) == item.shots
        assert all(mine.isdisjoint(image.ref for image in shot.images) for shot in item.episode.demonstrations)


def test_demonstrations_come_from_the_training_split_where_there_is_one(tmp_path: Path) -> None:
    vqa(tmp_path, "val", 2, 0)
    vqa(tmp_path, "train", 5, 10)
    items = brought("flamingo", tmp_path, shots=[4], queries=1).items
    assert len(items) == 1
    refs = {image.ref for item in brought("flamingo", tmp_path, shots=[0]).items for image in item.episode.query.images}
    assert refs.isdisjoint(image.ref for shot in items[0].episode.demonstrations for image in shot.images)


def test_captions_of_a_picture_are_all_references(tmp_path: Path) -> None:
    names = pictures(tmp_path / "photos", 3)
    listed = {"images": [{"id": at, "file_name": name} for at, name in enumerate(names)]}
    captions = [{"id": at, "image_id": at % 3, "caption": f"caption {at}"} for at in range(6)]
    folder = write(tmp_path, captions_val={**listed, "annotations": captions})
    found = brought("flamingo", folder, shots=[1], images="photos")
    assert found.manifest.metric == "caption"
    assert found.manifest.baselines == {}
    assert [item.answers for item in found.items] == [(f"caption {at}", f"caption {at + 3}") for at in range(3)]


def test_nearest_demonstrations_want_an_encoder(tmp_path: Path) -> None:
    vqa(tmp_path, "val", 3, 0)
    with pytest.raises(ConfigError, match="encoder"):
        brought("flamingo", tmp_path, select="rices", shots=[1])


def conversation(pictures_: list[str], *turns: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A LLaVA conversation."""
    said_ = [{"from": speaker, "value": text} for turn in turns for speaker, text in zip(("human", "gpt"), turn, strict=True)]
    return {"image": pictures_, "conversations": said_, **more}


def test_the_last_turn_is_the_query_and_the_others_demonstrate(tmp_path: Path) -> None:
    names = pictures(tmp_path, 3)
    ask = "<image>\nWhich?\nA. cat\nB. dog"
    rows = [conversation(names, (ask, "A"), (ask, "B"), (ask, "A"), id="x")]
    found = brought("llava", write(tmp_path, set=rows), classes=2)
    (item,) = found.items
    assert (item.shots, item.choices, item.answers, found.manifest.metric) == (1, ("A", "B"), ("A",), "choice")
    assert [shot.label for shot in item.episode.demonstrations] == ["cat", "dog"]
    assert [shot.role for shot in item.episode.demonstrations] == ["positive", "negative"]
    assert item.episode.query.question == "Which?\nA. cat\nB. dog"
    assert found.manifest.baselines["1"]["copy-first-letter"] == 1.0


def test_questions_about_one_picture_are_asked_one_by_one(tmp_path: Path) -> None:
    names = pictures(tmp_path, 1)
    rows = [conversation(names, ("<image>\nWhat?", "a cat"), ("What colour?", "black"), id="x")]
    items = brought("llava", write(tmp_path, set=rows)).items
    assert [(item.shots, item.episode.query.question, item.answers) for item in items] == [
        (0, "What?", ("a cat",)),
        (0, "What colour?", ("black",)),
    ]


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Which?\nA. cat\nB. dog", ("cat", "dog")),
        ("Which? (A) cat (B) a dog", ("cat", "a dog")),
        ("Which? A: cat, B: dog", ("cat", "dog")),
        ("Which?\nA. cat\nC. dog", ()),
        ("Vitamin A. What is it?", ()),
        ("What is it?", ()),
    ],
)
def test_options_are_found_where_letters_follow_one_another(question: str, options: tuple[str, ...]) -> None:
    assert options_of(question) == options


def test_an_import_is_frozen_and_the_same_again(tmp_path: Path) -> None:
    folder, out = open_mi(tmp_path), Folder.of(tmp_path / "benches" / "mi")
    settings = prepare("vl-icl", {"licence": "MIT", "shots": [0, 2]}, out.uri)
    bench, _, unchanged = import_bench("vl-icl", folder, out, settings)
    again, _, same = import_bench("vl-icl", folder, out, settings)
    assert (unchanged, same, bench.digest) == (False, True, again.digest)
    opened = Bench.open(out)
    refs = {
        image.ref
        for item in opened.items
        for shot in (*item.episode.demonstrations, item.episode.query)
        for image in shot.images
    }
    assert all(opened.picture(ref) for ref in refs)
    assert opened.manifest.licences == {"MIT": len(refs)}
    with pytest.raises(InputError, match="another version"):
        import_bench("vl-icl", folder, out, prepare("vl-icl", {"shots": [1]}, out.uri))
    assert Bench.open(out).digest == bench.digest


def test_too_many_bad_records_stop_the_import(tmp_path: Path) -> None:
    names = pictures(tmp_path, 1)
    rows = [conversation([name], ("<image>\nWhat?", "x")) for name in (*names, "gone.png", "away.png")]
    folder = write(tmp_path, set=rows)
    with pytest.raises(QualityError, match="missing_file 2"):
        brought("llava", folder, max_rejected=0.5)
    assert brought("llava", folder, max_rejected=0.7).manifest.spec["rejected"] == {"missing_file": 2}


class Colours:
    """An encoder that knows pictures by their mean colour."""

    def encode_images(self, pictures_: list[Any]) -> np.ndarray:
        means = np.array([np.asarray(picture, dtype=np.float32).mean(axis=(0, 1)) - 128 for picture in pictures_])
        return means / np.linalg.norm(means, axis=1, keepdims=True)


def test_nearest_demonstrations_stand_last_by_likeness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.encoders.load.load_encoder", lambda name, space: Colours())
    vqa(tmp_path, "val", 6, 0)
    found = brought("flamingo", tmp_path, select="rices", encoder="colours", shots=[1, 3])
    for one, three in zip(found.items[::2], found.items[1::2], strict=True):
        near = [shot.similarity for shot in three.episode.demonstrations]
        assert near == sorted(near)
        assert one.episode.demonstrations == three.episode.demonstrations[-1:]
    assert "knn" in found.manifest.baselines["3"]
