"""Which checkpoints stay."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError, IntegrityError
from tests.train.checkpoint.small_nets import adamw, checkpoints, prepared, saved
from train.checkpoint import Checkpoints
from train.checkpoint.layout import best_of, clean, kept, name_of, read_manifest, step_of, steps_in
from train.config import CheckpointSettings
from train.parallel.ranks import Ranks

FIGURES = st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=16)), min_size=1, max_size=20)


@given(FIGURES, st.integers(1, 4))
def test_after_every_save_the_last_k_and_the_best_of_all_are_there(figures: list[float | None], keep: int) -> None:
    there: dict[int, float | None] = {}
    for step, figure in enumerate(figures):
        there[step] = figure
        there = {step: there[step] for step in kept(there, step, keep)}
        ever = dict(enumerate(figures[: step + 1]))
        best = best_of(ever)
        assert there.keys() == set(sorted(ever)[-keep:]) | ({best} if best is not None else set())


@given(st.dictionaries(st.integers(0, 50), st.one_of(st.none(), st.floats(0, 1)), min_size=1), st.integers(1, 3))
def test_what_lies_behind_the_saved_step_goes(figures: dict[int, float | None], keep: int) -> None:
    saved_step = sorted(figures)[len(figures) // 2]
    assert all(step <= saved_step for step in kept(figures, saved_step, keep))
    assert saved_step in kept(figures, saved_step, keep)


def test_the_earliest_of_equals_is_the_best_and_none_without_figures() -> None:
    assert best_of({3: 0.5, 1: 0.5, 2: 0.7}) == 1
    assert best_of({1: None}) is None


@given(st.integers(0, 10**12 - 1))
def test_steps_and_folder_names_belong_together(step: int) -> None:
    assert step_of(name_of(step)) == step


def test_the_best_stays_besides_the_last(tmp_path: Path) -> None:
    saved(tmp_path, 5, keep=2, best="loss")
    assert steps_in(tmp_path) == [1, 4, 5]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    net, optimizer = saved(tmp_path, 2)
    keeper = checkpoints(tmp_path)
    keeper.save(2, net, optimizer, {"again": True}, {})
    keeper.wait()
    assert steps_in(tmp_path) == [1, 2]
    assert read_manifest(tmp_path / name_of(2)).progress == {"again": True}


def test_going_on_from_an_older_checkpoint_gives_up_the_later_ones(tmp_path: Path) -> None:
    net, optimizer = saved(tmp_path, 3, keep=3)
    keeper = checkpoints(tmp_path, keep=3)
    keeper.restore(net, optimizer, 1)
    keeper.save(2, net, optimizer, {}, {})
    keeper.wait()
    assert steps_in(tmp_path) == [1, 2]


def test_what_a_killed_process_left_is_cleaned_and_nothing_else(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / ".tmp-step-00000002-abcd").mkdir()
    (tmp_path / ".tmp-step-00000002-abcd/rank-00000.safetensors").write_bytes(b"half")
    (tmp_path / "notes").mkdir()
    clean(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "step-00000001"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("files", {}), ("files", {"../../secret.safetensors": {"size": 9, "sha256": "0" * 64}}), ("world", 0), ("step", -1),
        ("files", {"rank-00000.safetensors": {"size": 9, "sha256": "x"}}), ("format", "other/1"), ("progress", 3),
        ("unknown", 1),
    ],
)  # fmt: skip
def test_a_manifest_that_no_run_writes_is_refused(tmp_path: Path, key: str, value: object) -> None:
    saved(tmp_path)
    place = tmp_path / name_of(1) / "checkpoint.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {key: value}))
    with pytest.raises(IntegrityError, match=r"checkpoint\.json"):
        read_manifest(tmp_path / name_of(1))
    with pytest.raises(IntegrityError, match="no whole checkpoint is left"):
        checkpoints(tmp_path).latest()


def test_a_figure_that_is_never_measured_is_told_once(tmp_path: Path) -> None:
    said: list[str] = []
    keeper = Checkpoints(tmp_path, CheckpointSettings(best="validation.los"), Ranks.alone(), said.append)
    for step in (1, 2):
        keeper.save(step, prepared(lora=False), None, {}, {"validation.loss": 1.0})
    keeper.wait()
    assert said == [
        "checkpoint.best: no figure called 'validation.los' has been measured yet (did you mean 'validation.loss'?)"
    ]


def test_an_empty_folder_has_nothing_to_restore(tmp_path: Path) -> None:
    net = prepared()
    keeper = checkpoints(tmp_path / "none")
    assert keeper.latest() is None
    with pytest.raises(InputError, match="holds no checkpoint"):
        keeper.restore(net, adamw(net))
