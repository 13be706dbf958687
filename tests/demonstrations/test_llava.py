"""LLaVA's JSON: every question is a demonstration with the images it can see, and our export comes back unchanged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from curate.demonstrations.exporting import conversation, export_llava
from curate.demonstrations.found import Item, Unusable
from curate.demonstrations.importers.llava import Llava, LlavaSettings, without_placeholders
from curate.demonstrations.reading import Root, clean
from curate.errors import InputError
from curate.layout import Run
from curate.schema import Demonstration, Image, Provenance
from curate.storage import Folder


def talk(*turns: str) -> list[dict[str, str]]:
    return [{"from": "gpt" if n % 2 else "human", "value": turn} for n, turn in enumerate(turns)]


def test_every_turn_is_a_demonstration_that_sees_the_images_so_far(
    lay: Any, imported: Any, picture: Callable[..., bytes]
) -> None:
    said = talk("<image>\nWhat is it?", "A cat.", "And here? <image>", "A dog.", "Which is larger?", "The dog.")
    source = lay({"x.json": json.dumps([{"id": "c1", "image": ["a.png", "b.png"], "conversations": said}])})
    lay({"a.png": picture(1), "b.png": picture(2)})
    _, shown = imported("llava", source / "x.json")
    assert [(d.question, d.answer, len(d.images)) for d in shown] == [
        ("What is it?", "A cat.", 1),
        ("And here?", "A dog.", 2),
        ("Which is larger?", "The dog.", 2),
    ]
    assert shown[2].context == "What is it?\nA cat.\nAnd here?\nA dog."
    assert len({d.id for d in shown}) == 3
    assert {d.provenance.record for d in shown} == {"c1"}


@pytest.mark.parametrize(
    ("question", "clear"),
    [
        ("<image>\nWhat?", "What?"),
        ("What?\n<image>", "What?"),
        ("<image><image>", ""),
        ("Is <image> like <image>?", "Is (image 1) like (image 2)?"),
        ("<image>\nIs it like <image> or not?", "Is it like (image 2) or not?"),
    ],
)
def test_placeholders_leave_their_number_only_inside_a_sentence(question: str, clear: str) -> None:
    assert without_placeholders(question, 0) == clear


def test_bad_conversations_have_reasons_and_good_ones_are_all_there(
    lay: Any, imported: Any, picture: Callable[..., bytes], tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_bytes(picture(3))
    fine = talk("<image>\nWhat?", "A box.")
    entries: list[Any] = [
        {"id": 1, "image": "a.png", "conversations": fine},
        {"id": 1, "image": "a.png", "conversations": fine},
        {"image": "a.png", "conversations": fine},
        {"id": "text only", "conversations": fine},
        {"id": "outside", "image": "../secret.png", "conversations": fine},
        {"id": "gone", "image": "gone.png", "conversations": fine},
        {"id": "type", "image": {"x": 1}, "conversations": fine},
        {"id": "none", "image": "a.png"},
        {"id": "odd", "image": "a.png", "conversations": fine[:1]},
        {"id": "swapped", "image": "a.png", "conversations": fine[::-1]},
        {"id": "value", "image": "a.png", "conversations": talk("<image>", None)},  # type: ignore[arg-type]
        {"id": "count", "image": "a.png", "conversations": talk("<image><image>\nWhat?", "A box.")},
        {"id": "mute", "image": "a.png", "conversations": talk("<image>\nWhat?", " ")},
        {"id": "turns", "image": "a.png", "conversations": ["hello"]},
        "no object",
        None,
    ]
    source = lay({"x.json": json.dumps(entries), "a.png": picture(1)})
    manifest, shown = imported("llava", source)
    assert [d.provenance.record for d in shown] == ["1", "1#2", "#3"]
    assert manifest.dropped == {"no_image": 1}
    assert manifest.rejected == {
        "bad_conversation": 2,
        "missing_file": 1,
        "no_answer": 1,
        "outside_root": 1,
        "placeholder_mismatch": 1,
        "wrong_type": 6,
    }


@pytest.mark.parametrize("text", ["{", '{"id": 1}', "[" * 100_000, "\xff\xfe"])
def test_json_that_is_none_is_one_clear_error(lay: Any, imported: Any, text: str) -> None:
    with pytest.raises(InputError, match=r"x\.json"):
        imported("llava", lay({"x.json": text}) / "x.json")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(lambda text: clean(text.replace("<", ""), 99))
IMAGES = st.lists(st.integers(0, 9).map(lambda n: Image(f"{n}{n:063d}.png", 9, 9, "0" * 16)), min_size=1, max_size=3)
SHOWN = st.builds(
    Demonstration,
    id=st.uuids().map(str),
    images=IMAGES.map(tuple),
    question=TEXT,
    answer=TEXT.filter(bool),
    task=TEXT.filter(bool),
    concepts=st.lists(TEXT.filter(bool), max_size=3, unique=True).map(tuple),
    format=st.sampled_from(["caption", "open_qa", "multiple_choice"]),
    document_id=st.just(""),
    context=TEXT,
    source=st.just("s"),
    licence=TEXT,
    provenance=st.just(Provenance("s", "r")),
)


@hypothesis_settings(max_examples=200, deadline=None)
@given(SHOWN)
def test_what_is_exported_is_imported_unchanged(shown: Demonstration) -> None:
    entry = json.loads(json.dumps(conversation(shown)))
    importer = Llava("x.json", LlavaSettings())
    [back] = importer.found(Item(shown.id, data=entry))
    assert [picture.name for picture in back.pictures] == [f"images/{image.ref}" for image in shown.images]
    assert (back.question, back.answer, back.concepts) == (shown.question, shown.answer, shown.concepts)
    assert (back.task, back.format, back.context, back.licence) == (shown.task, shown.format, shown.context, shown.licence)


def test_an_exported_run_is_imported_with_its_pictures(
    lay: Any, imported: Any, picture: Callable[..., bytes], tmp_path: Path
) -> None:
    source = lay({f"{n}.png": picture(n) for n in range(3)} | {f"{n}.txt": f"Picture <image> {n}." for n in range(3)})
    _, before = imported("captions", source)
    run = Run.at(tmp_path / "run")
    assert export_llava(before, run.images, Folder.of(tmp_path / "llava")) == 3
    _, after = imported("llava", tmp_path / "llava", out="back")
    assert [d.images for d in after] == [d.images for d in before]
    assert [(d.answer, d.format) for d in after] == [(f"Picture (image) {n}.", "caption") for n in range(3)]


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda s: st.lists(s, max_size=3))
TURN = st.fixed_dictionaries(
    {}, optional={"from": st.sampled_from(["human", "gpt"]) | JSON, "value": JSON | st.just("<image>")}
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={"id": JSON, "image": JSON, "conversations": JSON | st.lists(TURN, max_size=4), "concepts": JSON, "task": JSON},
)


@hypothesis_settings(max_examples=300, deadline=None)
@given(ENTRY | JSON)
def test_whatever_the_json_holds_is_found_or_refused(entry: Any) -> None:
    try:
        found = list(Llava("x.json", LlavaSettings()).found(Item("x", data=entry)))
    except Unusable:
        return
    assert all(isinstance(pair.answer, str) and pair.pictures for pair in found)


def test_a_line_cut_off_or_nested_absurdly_takes_no_other_with_it(
    lay: Any, imported: Any, picture: Callable[..., bytes]
) -> None:
    good = {"image": "a.png", "conversations": talk("<image>\nWhat is it?", "A cat.")}
    deep = json.dumps({**good, "more": 0}).replace("0", "[" * 600 + "]" * 600)
    lines = [json.dumps(good), deep, "7", json.dumps(good), json.dumps(good)[:40]]
    source = lay({"x.jsonl": "\n".join(lines), "a.png": picture(1)})
    for workers in (1, 2):
        manifest, shown = imported("llava", source / "x.jsonl", workers=workers, out=f"run{workers}")
        assert [d.provenance.record for d in shown] == ["#1", "#4"]
        assert manifest.rejected == {"bad_json": 2, "too_deep": 1}


def test_a_file_named_a_million_times_is_read_once(
    lay: Any, imported: Any, picture: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    real = Root.read
    monkeypatch.setattr(Root, "read", lambda self, name, most: (reads.append(name), real(self, name, most))[1])
    entry = {"image": ["a.png"] * 1000, "conversations": talk("What is it?", "A cat.")}
    manifest, _ = imported("llava", lay({"x.json": json.dumps([entry]), "a.png": picture(1)}) / "x.json")
    assert manifest.rejected == {"too_many_images": 1}
    assert reads.count("a.png") == 1
