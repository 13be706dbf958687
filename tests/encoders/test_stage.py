"""Embedding is resumable, indifferent to the number of workers, and keeps what is sound."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.documents import MineSettings, mine
from curate.encoders import EmbedSettings, embed
from curate.encoders.openclip import OpenClipEncoder
from curate.encoders.rows import partitions
from curate.encoders.vectors import Vectors
from curate.engine import Partition, PartWriter, SourcePart
from curate.engine import run as run_stage
from curate.errors import InputError
from curate.images import open_rgb
from curate.layout import Run
from curate.schema import Demonstration, to_table
from curate.settings import Settings

Picture = Callable[..., bytes]
MakeRun = Callable[..., Run]


def settings(folder: Path, **more: Any) -> EmbedSettings:
    return EmbedSettings(encoder=f"open_clip:local-dir:{folder}", **more)


def contents(run: Run) -> dict[str, bytes]:
    folder = run.embeddings.local()
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in (".lock", "timings.jsonl")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_vectors_are_unit_float16_in_the_order_of_the_demonstrations(
    make_run: MakeRun, picture: Picture, tiny: OpenClipEncoder, tiny_folder: Path
) -> None:
    shown = [([picture(i)], f"thing {i}") for i in range(5)]
    run = make_run(shown)
    manifest = embed(run, settings(tiny_folder))
    stored = Vectors.read(run.embeddings, "image")
    assert stored.ids == [f"d{i}" for i in range(5)]
    assert stored.matrix.dtype == np.float16
    expected = tiny.encode_images([open_rgb(data) for (data,), _ in shown])
    np.testing.assert_allclose(stored.matrix, expected, atol=2e-3)
    texts = Vectors.read(run.embeddings, "text").matrix.astype(np.float32)
    np.testing.assert_allclose(texts, tiny.encode_texts([answer for _, answer in shown]), atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=2e-3)
    assert manifest.counts == {"in": 5, "out": 5, "dropped": 0, "rejected": 0}
    assert manifest.inputs["encoder"] == tiny.fingerprint


def test_a_second_run_redoes_only_a_lost_part(make_run: MakeRun, picture: Picture, tiny_folder: Path) -> None:
    run = make_run([([picture(i)], f"thing {i}") for i in range(5)], part=2)
    embed(run, settings(tiny_folder))
    before = contents(run)
    run.embeddings.remove("part-00001.image.npy")
    embed(run, settings(tiny_folder))
    assert contents(run) == before
    assert [line.split('"')[3] for line in (run.embeddings.local("timings.jsonl")).read_text().splitlines()][3:] == [
        "part-00001"
    ]


def test_bytes_do_not_depend_on_the_number_of_workers(make_run: MakeRun, picture: Picture, tiny_folder: Path) -> None:
    run = make_run([([picture(i)], "word " * (i % 7)) for i in range(40)], part=7)
    embed(run, settings(tiny_folder))
    alone = contents(run)
    for name in run.embeddings.names():
        run.embeddings.remove(name)
    embed(run, settings(tiny_folder), workers=2)
    assert contents(run) == alone


def test_a_vector_does_not_depend_on_its_neighbours(make_run: MakeRun, picture: Picture) -> None:
    shown = [([picture(i)], f"thing number {i} " * (i % 3 + 1)) for i in range(3)]
    stored = []
    for size in (1, 3):
        run = make_run(shown, part=size)
        embed(run, EmbedSettings())
        stored.append([Vectors.read(run.embeddings, space).matrix.tobytes() for space in ("image", "text")])
    assert stored[0] == stored[1]


def test_bad_and_missing_images_are_rejected_with_a_reason_and_the_rest_is_there(
    make_run: MakeRun, picture: Picture, tiny_folder: Path
) -> None:
    good, cut = picture(1), picture(2)[:300]
    run = make_run(
        [([good], "good"), ([cut], "cut"), ([b"no image"], "noise"), ([picture(3)], "lost"), ([picture(4)], "also good")]
    )
    lost = list(run.demonstrations())[3].images[0].ref
    run.images.folder.remove(run.images.name_of(lost))
    manifest = embed(run, settings(tiny_folder))
    assert manifest.counts == {"in": 5, "out": 2, "dropped": 0, "rejected": 3}
    assert set(manifest.rejected) >= {"image_unknown_format", "image_missing"}
    assert Vectors.read(run.embeddings).ids == ["d0", "d4"]


def test_several_images_give_their_mean_and_none_gives_zeros(
    make_run: MakeRun, picture: Picture, tiny: OpenClipEncoder, tiny_folder: Path
) -> None:
    run = make_run([([picture(1), picture(2)], "two"), ([], "none"), ([picture(1)], "")])
    embed(run, settings(tiny_folder))
    images, texts = (Vectors.read(run.embeddings, space).matrix.astype(np.float32) for space in ("image", "text"))
    mean = tiny.encode_images([open_rgb(picture(1)), open_rgb(picture(2))]).mean(0)
    np.testing.assert_allclose(images[0], mean / np.linalg.norm(mean), atol=2e-3)
    assert not images[1].any()
    assert not texts[2].any()


def test_no_machine_path_enters_the_manifest(make_run: MakeRun, picture: Picture, tiny_folder: Path) -> None:
    run = make_run([([picture(1)], "one")])
    embed(run, settings(tiny_folder))
    assert str(tiny_folder.parent).encode() not in run.embeddings.read("manifest.json")


def test_all_stored_images_can_be_embedded_without_demonstrations(
    make_run: MakeRun, picture: Picture, tiny_folder: Path
) -> None:
    run = make_run([([picture(1), picture(2)], "two"), ([picture(1)], "same")])
    manifest = embed(run, settings(tiny_folder, image_space="tower"), what="images")
    assert manifest.counts["out"] == 2
    assert Vectors.read(run.root / "embeddings-images").dim == 32


def test_an_empty_run_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images"):
        embed(Run.at(tmp_path), EmbedSettings(), what="images")


def test_a_part_of_the_demonstrations_is_a_part_of_the_embeddings_and_only_its_name_travels(
    make_run: MakeRun, picture: Picture, tiny_folder: Path
) -> None:
    run = make_run([([picture(i)], f"thing {i}") for i in range(5)], part=2)
    payloads = [partition.payload for partition in partitions(run, "demonstrations", "any encoder")]
    assert all(isinstance(payload, SourcePart) for payload in payloads)
    manifest = embed(run, settings(tiny_folder))
    assert [part["in"] for part in manifest.parts] == [2, 2, 1]
    assert max(len(pickle.dumps(payload)) for payload in payloads) < 1000


def test_a_changed_part_is_embedded_again_and_the_others_are_not(
    make_run: MakeRun, picture: Picture, tiny_folder: Path
) -> None:
    shown = [([picture(i)], f"thing {i}") for i in range(5)]
    embed(make_run(shown, part=2), settings(tiny_folder))
    run = make_run([*shown[:3], ([picture(3)], "something else"), shown[4]], part=2)
    embed(run, settings(tiny_folder))
    lines = run.embeddings.local("timings.jsonl").read_text().splitlines()
    assert [line.split('"')[3] for line in lines][3:] == ["part-00001"]


def test_a_part_without_demonstrations_is_a_part_without_vectors(
    make_run: MakeRun, picture: Picture, tiny_folder: Path
) -> None:
    run = make_run([([picture(1)], "one")])
    run_stage(Nothing(), [Partition("none", None)], run.root / "demonstrations" / "barren")
    manifest = embed(run, settings(tiny_folder))
    assert [part["in"] for part in manifest.parts] == [0, 1]
    assert Vectors.read(run.embeddings).ids == ["d0"]


class Nothing:
    name, version, settings = "demonstrations", "1", Settings()

    def setup(self) -> None: ...

    def process(self, payload: None, part: PartWriter) -> None:
        part.table(to_table([], Demonstration))


def test_nodes_of_documents_are_embedded_part_by_part(picture: Picture, tiny_folder: Path, tmp_path: Path) -> None:
    run, pages = Run.at(tmp_path / "run"), tmp_path / "pages"
    pages.mkdir()
    (pages / "a.png").write_bytes(picture(1))
    (pages / "a.html").write_text(f"<p>{'Words of a page. ' * 20}</p><figure><img src=a.png></figure>")
    mine([str(pages)], MineSettings(), run)
    manifest = embed(run, settings(tiny_folder), what="documents")
    stored = Vectors.read(run.root / "embeddings-documents")
    assert manifest.counts["out"] == len(stored) == sum(len(document.nodes) for document in run.documents()) > 1
    assert stored.ids[0].endswith("#0")
