"""Damage, other models and other bases are told, with what to do; nothing goes on silently from something else."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError, IntegrityError
from tests.train.checkpoint.small_nets import adamw, prepared, saved
from tests.train.parallel.two_ranks import run_ranks
from train.checkpoint import Checkpoints, restoring
from train.checkpoint.layout import Entry, Manifest, name_of
from train.checkpoint.restoring import Reader, _overlap
from train.checkpoint.shards import Chunk, opened, write_shard
from train.checkpoint.state import checksum
from train.config import CheckpointSettings
from train.parallel.ranks import Ranks

SHARD = "rank-00000.safetensors"


def _loud(folder: Path) -> tuple[Checkpoints, list[str]]:
    said: list[str] = []
    return Checkpoints(folder, CheckpointSettings(), Ranks.alone(), said.append), said


@pytest.mark.parametrize("damage", ["cut", "missing", "no manifest", "half a manifest"])
def test_after_a_power_cut_the_older_checkpoint_is_taken_with_a_loud_line(tmp_path: Path, damage: str) -> None:
    saved(tmp_path, 2)
    newest = tmp_path / name_of(2)
    if damage == "cut":
        (newest / SHARD).write_bytes((newest / SHARD).read_bytes()[:-100])
    elif damage == "missing":
        (newest / SHARD).unlink()
    elif damage == "no manifest":
        (newest / "checkpoint.json").unlink()
    else:
        (newest / "checkpoint.json").write_text((newest / "checkpoint.json").read_text()[:100])
    keeper, said = _loud(tmp_path)
    assert keeper.latest() == 1
    assert len(said) == 1
    assert "WARNING" in said[0]
    assert "step-00000002" in said[0]
    assert "step 1" in said[0]
    fresh = prepared()
    assert keeper.restore(fresh, adamw(fresh)) == {"step": 1}


def test_content_that_changed_stops_the_run_and_names_file_and_remedy(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    place = tmp_path / name_of(2) / SHARD
    data = bytearray(place.read_bytes())
    data[-10] ^= 1
    place.write_bytes(data)
    keeper, _ = _loud(tmp_path)
    fresh = prepared()
    with pytest.raises(IntegrityError, match=rf"{SHARD} is damaged.*remove step-00000002 .* from step-00000001"):
        keeper.restore(fresh, adamw(fresh))


def test_a_file_that_is_no_safetensors_is_told_even_when_its_digest_fits(tmp_path: Path) -> None:
    saved(tmp_path)
    place = tmp_path / name_of(1)
    (place / SHARD).write_bytes(b"\xff" * 100)
    manifest = json.loads((place / "checkpoint.json").read_text())
    manifest["files"][SHARD] = {"size": 100, "sha256": hashlib.sha256(b"\xff" * 100).hexdigest()}
    (place / "checkpoint.json").write_text(json.dumps(manifest))
    fresh = prepared()
    with pytest.raises(IntegrityError, match="not readable"):
        _loud(tmp_path)[0].restore(fresh, adamw(fresh))


def test_a_tensor_that_claims_more_than_the_files_hold_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from train.checkpoint.layout import read_manifest
    from train.checkpoint.shards import PLACES, digest_of

    saved(tmp_path)
    place = tmp_path / name_of(1)
    tensors = load_file(place / SHARD)
    for whole in ([10**9, 6], [5, 6]):
        places = {name: [[0] * tensor.dim(), list(tensor.shape)] for name, tensor in tensors.items()}
        places["model/words.weight"][1] = whole
        save_file(tensors, place / SHARD, {PLACES: json.dumps(places)})
        entry = Entry(size=(place / SHARD).stat().st_size, sha256=digest_of(place / SHARD))
        manifest = read_manifest(place).model_copy(update={"files": {SHARD: entry}})
        (place / "checkpoint.json").write_bytes(manifest.encode())
        fresh = prepared()
        with pytest.raises(IntegrityError, match=r"words\.weight"):
            _loud(tmp_path)[0].restore(fresh, adamw(fresh))


def _listing(files: dict[str, Entry]) -> Manifest:
    return Manifest(made_with="", step=1, world=1, progress={}, figures={}, adapters={}, frozen={}, files=files)


def pieces(folder: Path, *parts: tuple[int, ...], whole: tuple[int, ...] = (4, 2)) -> Manifest:
    """A checkpoint of one tensor `model/x` in a file for each part: (first row, rows, first column, columns)."""
    files = {}
    for number, (row, rows, column, columns) in enumerate(parts):
        piece = torch.ones(rows, columns)
        name = f"rank-{number:05d}.safetensors"
        files[name] = write_shard(folder / name, [Chunk("model/x", piece, (row, column), whole)])
    return _listing(files)


WRONG_PIECES = {
    "twice": [(0, 2, 0, 2), (0, 2, 0, 2)],
    "overlapping": [(0, 3, 0, 2), (2, 1, 0, 2)],
    "aside": [(0, 2, 0, 2), (1, 2, 0, 1), (3, 1, 0, 2)],
    "a gap": [(0, 1, 0, 2), (3, 1, 0, 2)],
}


@pytest.mark.parametrize("parts", WRONG_PIECES.values(), ids=WRONG_PIECES.keys())
def test_pieces_that_overlap_are_refused_also_where_their_elements_add_up(tmp_path: Path, parts: list[Any]) -> None:
    with pytest.raises(IntegrityError, match="do not make it whole"), Reader(tmp_path, pieces(tmp_path, *parts)):
        pass


def test_pieces_that_say_another_whole_are_refused(tmp_path: Path) -> None:
    one = pieces(tmp_path, (0, 2, 0, 2))
    write_shard(tmp_path / "rank-00001.safetensors", [Chunk("model/x", torch.ones(4), (4,), (8,))])
    manifest = _listing({**one.files, "rank-00001.safetensors": one.files[SHARD]})
    with pytest.raises(IntegrityError, match="do not make it whole"), Reader(tmp_path, manifest):
        pass


def test_pieces_cut_along_any_axis_make_a_whole(tmp_path: Path) -> None:
    manifest = pieces(tmp_path, (0, 4, 0, 1), (0, 2, 1, 1), (2, 2, 1, 1), (0, 0, 0, 2))
    with Reader(tmp_path, manifest) as reader:
        assert reader.whole("model/x").tolist() == [[1.0, 1.0]] * 4


def test_a_damaged_file_leaves_no_other_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, closed = pieces(tmp_path, (0, 2, 0, 2), (2, 2, 0, 2)), []
    (tmp_path / "rank-00001.safetensors").write_bytes(b"no")

    @contextmanager
    def watched(path: Path) -> Iterator[Any]:
        with opened(path) as shard:
            try:
                yield shard
            finally:
                closed.append(path.name)

    monkeypatch.setattr(restoring, "opened", watched)
    with pytest.raises(IntegrityError, match="not readable"):
        Reader(tmp_path, manifest).__enter__()
    assert closed == [SHARD]


def test_over_another_base_nothing_is_restored(tmp_path: Path) -> None:
    saved(tmp_path)
    fresh = prepared()
    with torch.no_grad():
        fresh.tower.weight[0, 0] += 0.25
    with pytest.raises(InputError, match=r"other weights.*tower\.weight"):
        _loud(tmp_path)[0].restore(fresh, adamw(fresh))
    with pytest.raises(InputError, match=r"tower\.bias and 1 more.*compute\.dtype"):
        _loud(tmp_path)[0].restore(prepared(tower=torch.float32), None)


def test_other_trained_parts_are_told(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(InputError, match=r"does not hold adapted\.bias and 1 more.*lora"):
        _loud(tmp_path)[0].restore(prepared(lora=False), None)
    fresh = prepared()
    fresh.words.requires_grad_(False)
    with pytest.raises(InputError, match=r"does not train, words\.weight"):
        _loud(tmp_path)[0].restore(fresh, None)


def test_a_step_that_is_not_there(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(InputError, match="no checkpoint of step 7"):
        _loud(tmp_path)[0].restore(prepared(), None, step=7)


BOX = st.tuples(st.integers(0, 6), st.integers(0, 6))


@given(st.lists(st.tuples(BOX, BOX), min_size=1, max_size=3))
def test_overlap_is_what_both_boxes_hold(axes: list[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    def cells(which: int) -> set[tuple[int, ...]]:
        return set(itertools.product(*(range(axis[which][0], sum(axis[which])) for axis in axes)))

    boxes = [(tuple(axis[which][0] for axis in axes), tuple(axis[which][1] for axis in axes)) for which in (0, 1)]
    shared = _overlap(boxes[0], boxes[1])
    found = set() if shared is None else set(itertools.product(*(range(a, a + n) for a, n in zip(*shared, strict=True))))
    assert found == cells(0) & cells(1)


@given(st.integers(0, 4), st.integers(0, 3))
def test_a_checksum_sees_every_bit_and_place(row: int, column: int) -> None:
    tensor = torch.arange(20, dtype=torch.float32).reshape(5, 4)
    changed, swapped = tensor.clone(), tensor.clone()
    changed[row, column] = torch.nextafter(changed[row, column], torch.tensor(100.0))
    swapped[[row, (row + 1) % 5]] = swapped[[(row + 1) % 5, row]]
    known = {checksum(tensor, 0), checksum(changed, 0), checksum(swapped, 0), checksum(tensor.T, 0)}
    assert len(known) == 4
    assert checksum(tensor.bfloat16(), 0) != checksum(tensor.half(), 0)
    assert checksum(torch.zeros(3, 0), 0) == 0


def _cut_checksums(world: int) -> list[int]:
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    from train.config import ComputeSettings, ParallelSettings
    from train.parallel.ranks import started

    torch.manual_seed(0)
    tensor = torch.randn(7, 5)
    with started(ParallelSettings(shard="always"), ComputeSettings(device="cpu")) as ranks:
        assert ranks.world == world
        assert ranks.mesh is not None
        cuts = [distribute_tensor(tensor, ranks.mesh, [cut]) for cut in (Shard(0), Shard(1), Replicate())]
        shares = [checksum(cut, ranks.rank) for cut in cuts]
        return [sum(column) % 2**64 for column in zip(*ranks.gather(shares), strict=True)] + [checksum(tensor, 0)]


def test_a_checksum_does_not_depend_on_how_a_tensor_is_cut() -> None:
    for sums in run_ranks(_cut_checksums, 2, 2):
        assert len(set(sums)) == 1
