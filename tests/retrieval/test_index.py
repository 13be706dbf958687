"""An index on disk answers like brute force (or nearly, and says how nearly), and never from damaged bytes."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from curate.encoders.vectors import Vectors
from curate.errors import ConfigError, InputError, IntegrityError
from curate.retrieval import Index, IndexSettings, build_index, plan_index, recall_at_k
from curate.retrieval.kinds import kind_for
from curate.settings import build as checked

Cloud = Callable[..., np.ndarray]
CELLS = IndexSettings(exact_below=0)


def files(folder: Path) -> dict[str, bytes]:
    kept = [p for p in folder.rglob("*") if p.is_file() and p.name not in (".lock", "timings.jsonl")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in kept}


def truth(base: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    scores = (queries.astype(np.float64) @ base.astype(np.float64).T).astype(np.float32)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def test_a_small_index_is_exact(make_run, cloud: Cloud) -> None:
    base, queries = cloud(250), cloud(9, seed=5)
    run = make_run(base, part=70)
    manifest = build_index(run, IndexSettings())
    index = Index.open(run.index)
    found = index.search(queries, 7)
    assert manifest.counts == {"in": 250, "out": 250, "dropped": 0, "rejected": 0}
    assert index.exact
    assert np.array_equal(found.rows, truth(base, queries, 7))
    cosines = queries.astype(np.float64) @ base.astype(np.float64).T
    assert np.array_equal(found.similarities, np.take_along_axis(cosines, found.rows, 1).astype(np.float32))
    assert index.ids == [f"d{i}" for i in range(250)]
    assert (index.row_of("d81"), index.row_of("nobody")) == (81, -1)


@pytest.mark.parametrize("kind", ["ivf_fp16", "ivf_sq8"])
def test_a_large_index_reaches_the_recall_it_was_asked_for(make_run, cloud: Cloud, kind: str) -> None:
    base, queries = cloud(3000), cloud(64, seed=5)
    run = make_run(base, part=1000)
    settings = CELLS if kind == "ivf_fp16" else IndexSettings(exact_below=0, memory_gib=1e-9, recall=0.9)
    build_index(run, settings)
    index = Index.open(run.index)
    found = index.search(queries, 10)
    assert index.facts["kind"] == kind
    assert index.facts["recall_at_10"] >= settings.recall
    assert recall_at_k(found.rows, truth(base, queries, 10), 10) > settings.recall - 0.07
    assert (np.diff(found.similarities, axis=1) <= 0).all()


def test_similarities_of_float16_cells_are_those_of_the_exact_index(make_run, cloud: Cloud) -> None:
    base, queries = cloud(800), cloud(20, seed=5)
    base[400:420] = base[0]
    run = make_run(base)
    build_index(run, IndexSettings(exact_below=0, recall=1.0))
    near = Index.open(run.index).search(queries, 30)
    build_index(run, IndexSettings())
    exact = Index.open(run.index).search(queries, 30)
    same = near.rows == exact.rows
    assert same.mean() > 0.9
    assert np.array_equal(near.similarities[same], exact.similarities[same])


def test_the_kind_follows_from_size_and_memory() -> None:
    settings = IndexSettings(exact_below=1000, memory_gib=1.0)
    assert [kind_for(n, 512, settings) for n in (0, 999, 1000, 2**20, 2**20 + 1)] == [
        "flat", "flat", "ivf_fp16", "ivf_fp16", "ivf_sq8",
    ]  # fmt: skip


def test_the_plan_tells_kind_and_size(make_run, cloud: Cloud) -> None:
    run = make_run(cloud(50))
    plan = plan_index(run, IndexSettings())
    build_index(run, IndexSettings())
    assert plan == {"kind": "flat", "vectors": 50, "dim": 32, "bytes": 6400}
    assert 0 <= run.index.size("image/part-00000.faiss") - plan["bytes"] < 200


@pytest.mark.parametrize("settings", [IndexSettings(), CELLS])
def test_equal_vectors_make_equal_bytes(make_run, cloud: Cloud, settings: IndexSettings) -> None:
    one, other = make_run(cloud(2000), name="one"), make_run(cloud(2000), name="other")
    for run, workers in ((one, 1), (other, 4)):
        build_index(run, settings, workers)
    assert files(one.index.local()) == files(other.index.local())


def test_an_index_that_is_up_to_date_is_left_alone(make_run, cloud: Cloud) -> None:
    run = make_run(cloud(100))
    build_index(run, IndexSettings())
    path = run.index.local("image/part-00000.faiss")
    before = path.stat().st_mtime_ns
    build_index(run, IndexSettings())
    assert path.stat().st_mtime_ns == before
    make_run(cloud(101))
    build_index(run, IndexSettings())
    assert len(Index.open(run.index)) == 101


def test_a_lost_file_is_made_again(make_run, cloud: Cloud) -> None:
    run = make_run(cloud(100))
    build_index(run, IndexSettings())
    before = files(run.index.local())
    run.index.local("image/part-00000.faiss").unlink()
    build_index(run, IndexSettings())
    assert files(run.index.local()) == before


def test_both_spaces_live_side_by_side(make_run, cloud: Cloud) -> None:
    run = make_run(cloud(40), text=cloud(40, dim=16, seed=3))
    build_index(run, IndexSettings())
    build_index(run, IndexSettings(space="text"))
    assert (Index.open(run.index).dim, Index.open(run.index, "text").dim) == (32, 16)


def test_records_without_a_vector_are_dropped_and_counted(make_run, cloud: Cloud) -> None:
    vectors = cloud(10)
    vectors[[2, 5]] = 0
    run = make_run(vectors, part=4)
    manifest = build_index(run, IndexSettings())
    index = Index.open(run.index)
    assert manifest.counts == {"in": 10, "out": 8, "dropped": 2, "rejected": 0}
    assert manifest.dropped == {"no_image": 2}
    assert "d2" not in index.ids
    assert index.search(vectors[3:4], 1).rows[0, 0] == index.row_of("d3") == 2


def test_fewer_vectors_than_neighbours_leave_places_empty(make_run, cloud: Cloud) -> None:
    for settings in (IndexSettings(), CELLS):
        run = make_run(cloud(3))
        build_index(run, settings)
        found = Index.open(run.index).search(cloud(2, seed=4), 5)
        assert (found.rows[:, 3:] == -1).all()
        assert np.isneginf(found.similarities[:, 3:]).all()


def test_the_file_is_mapped_and_not_read_into_memory(make_run, cloud: Cloud) -> None:
    run = make_run(cloud(4000, dim=512), part=4000)
    for settings in (IndexSettings(), IndexSettings(exact_below=0, cells=8, recall=0.1)):
        build_index(run, settings)
        index = Index.open(run.index)
        if Path("/proc/self/maps").exists():
            assert "part-00000.faiss" in Path("/proc/self/maps").read_text()
        index.search(cloud(2, dim=512), 3)
        if index.exact:
            with pytest.raises(ValueError, match="read-only"):
                index._base[0, 0] = 1
        del index


def test_a_query_does_not_copy_the_index(make_run, cloud: Cloud) -> None:
    run, query = make_run(cloud(4000, dim=512), part=4000), cloud(1, dim=512)
    build_index(run, IndexSettings())
    index = Index.open(run.index)
    index.search(query, 3)
    tracemalloc.start()
    index.search(query, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22 < 4 * 512 * 4000


def test_no_vectors_are_an_input_error(make_run) -> None:
    with pytest.raises(InputError, match="no image vectors"):
        build_index(make_run(np.zeros((3, 8), np.float16)), IndexSettings())


def test_vectors_that_are_not_unit_are_named(make_run, cloud: Cloud) -> None:
    vectors = cloud(10)
    vectors[4] *= 2
    with pytest.raises(IntegrityError, match="vector of d4 is not of unit length"):
        build_index(make_run(vectors, part=3), IndexSettings())


def test_a_query_of_another_shape_is_refused(make_run, cloud: Cloud) -> None:
    run = make_run(cloud(10))
    build_index(run, IndexSettings())
    index = Index.open(run.index)
    with pytest.raises(ConfigError, match="length 32, the query has shape"):
        index.search(cloud(2, dim=8), 3)
    with pytest.raises(ConfigError, match="unit length"):
        index.search(np.full((1, 32), np.nan), 3)
    with pytest.raises(ConfigError, match="at least 1"):
        index.search(cloud(2), 0)


@pytest.mark.parametrize("name", ["part-00000.faiss", "part-00000.json", "part-00000.parquet"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_damage_is_one_line(make_run, cloud: Cloud, name: str, damage: str) -> None:
    run = make_run(cloud(20))
    build_index(run, IndexSettings())
    path = run.index.local(f"image/{name}")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 64
    path.write_bytes(data if damage == "flipped" else data[:-7])
    if damage == "gone":
        path.unlink()
    with pytest.raises(IntegrityError, match=name) as caught:
        Index.open(run.index)
    assert "\n" not in str(caught.value)
    assert "run curate index again" in str(caught.value)


def test_a_damaged_header_that_was_not_hashed_is_still_told(make_run, cloud: Cloud) -> None:
    run = make_run(cloud(20))
    build_index(run, IndexSettings())
    path = run.index.local("image/part-00000.faiss")
    path.write_bytes(b"XXXX" + path.read_bytes()[4:])
    with pytest.raises(IntegrityError, match="not a readable index"):
        Index.open(run.index, verify=False)


def test_a_missing_index_says_how_to_make_it(make_run, cloud: Cloud) -> None:
    run = make_run(cloud(20))
    with pytest.raises(InputError, match="curate index RUN --space text"):
        Index.open(run.index, "text")


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="exact_below"):
        checked(IndexSettings, {"exact_belo": 3})


def test_recall_counts_what_was_to_be_found() -> None:
    truth = np.array([[1, 2, 3], [4, -1, -1]])
    assert recall_at_k(np.array([[3, 1, 9], [-1, -1, -1]]), truth, 3) == 0.5
    assert recall_at_k(np.array([[3, 1, 9], [4, -1, -1]]), truth, 1) == 0.5
    assert recall_at_k(np.zeros((0, 3)), np.zeros((0, 3)), 3) == 1.0


def test_stored_vectors_come_back(make_run, cloud: Cloud) -> None:
    base = cloud(30)
    run = make_run(base, part=7)
    build_index(run, IndexSettings())
    assert np.array_equal(Index.open(run.index)._base, base.astype(np.float32))
    assert np.array_equal(Vectors.read(run.embeddings).matrix, base)
