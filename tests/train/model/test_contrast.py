"""Named pictures teach a projector where words lie."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from curate.errors import InputError
from tests.train.model.halves import llama_folder, timm_folder
from train.model.assemble import AssembleSettings, Named, assemble, rms
from train.model.contrast import ContrastSettings, Pair, look, sample, together, words

COLOURS = {"red": (250, 20, 20), "green": (20, 250, 20), "blue": (20, 20, 250), "white": (250, 250, 250)}
QUICK = ContrastSettings(steps=60, batch=32, lr=5e-3)


def picture(colour: tuple[int, int, int], size: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(out, "PNG")
    return out.getvalue()


def pairs() -> list[Pair]:
    shown = [(name, picture(colour, size)) for name, colour in COLOURS.items() for size in (30, 40, 50)]
    return [Pair(name, lambda data=data: data) for name, data in shown]  # type: ignore[misc]


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("halves")
    return timm_folder(base / "timm"), llama_folder(base / "llama", tied=True)


def taught(halves: tuple[Path, Path], out: Path, given: list[Pair]) -> object:
    settings = AssembleSettings(grid=2, contrast=QUICK)
    return assemble(str(halves[0]), str(halves[1]), out, settings, named=Named(given)).taught


def test_pictures_come_to_lie_by_their_names(halves: tuple[Path, Path], tmp_path: Path) -> None:
    facts = taught(halves, tmp_path / "out", [*pairs(), Pair("torn", lambda: b"\x89PNG")])
    assert (facts.pictures, facts.names, facts.rejected, facts.steps) == (12, 4, 1, 60)  # type: ignore[attr-defined]
    assert facts.right > 0.9  # type: ignore[attr-defined]
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out", dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    kept, features = look(model, processor, pairs(), lambda done, total: None)
    table = model.get_input_embeddings().weight
    with torch.no_grad():
        tokens = model.model.multi_modal_projector(features.float())
        near = (tokens.mean(1) - table.mean(0)) @ words(model, processor, sorted(COLOURS)).T
    assert [sorted(COLOURS)[at] for at in near.argmax(1).tolist()] == [pair.name for pair in kept]
    assert 0.5 < rms(tokens) / rms(table) < 2


def test_equal_inputs_teach_equal_weights(halves: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("one", "other"):
        taught(halves, tmp_path / name, pairs())
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "other"))
    assert one == other


def test_one_name_is_too_few(halves: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least two"):
        taught(halves, tmp_path / "out", pairs()[:3])
    assert not (tmp_path / "out").exists()


def test_a_sample_keeps_its_order_and_leaves_the_nameless_out() -> None:
    given = [Pair(str(number) if number % 2 else " ", bytes) for number in range(100)]
    names = [int(pair.name) for pair in sample(given, ContrastSettings(most=20))]
    assert len(names) == 20
    assert names == sorted(names)


def test_the_contrastive_loss_is_its_formula() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    labels, sharp = torch.tensor([0, 1, 0, 0, 2]), torch.tensor(3.0)
    expected = []
    for at in (0, 2, 3):
        others = torch.stack([vectors[at] @ vectors[k] * sharp for k in range(5) if k != at]).logsumexp(0)
        alike = [vectors[at] @ vectors[k] * sharp - others for k in (0, 2, 3) if k != at]
        expected.append(-torch.stack(alike).mean())
    assert torch.allclose(together(vectors, labels, sharp), torch.stack(expected).mean())
    assert float(together(vectors, torch.arange(5), sharp)) == 0.0
