"""The catalogue holds what the shards hold, says why something cannot be used, and is made once."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.engine import RECEIPTS, StageManifest, read_stage
from curate.errors import InputError, IntegrityError
from curate.mixture.catalogue import scan
from curate.mixture.facts import coherence, facts, hardness
from curate.mixture.stock import assemble
from curate.mixture.tokens import BadRecord, Estimate
from curate.shards import read
from curate.storage import Folder
from tests.mixture.small_runs import as_member, hand_made, opened, record, spec_of, varied_run

PICTURE = ("0.png", b"not decoded here")


def test_rows_are_what_the_episodes_say(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    run = varied_run(tmp_path / "run", picture)
    sources = opened(spec_of(run))
    stock = assemble(sources, scan(sources, Estimate(), Folder.of(tmp_path / "catalogue")))
    rows = stock.samples.to_pylist()
    samples = list(read(run.root))
    assert [row["key"] for row in rows] == [sample.key for sample in samples]
    for row, sample in zip(rows, samples, strict=True):
        episode = sample.episode
        assert (row["shots"], row["images"]) == (len(episode.demonstrations), len(sample.images))
        assert (row["source"], row["concept_type"], row["concept"]) == ("a", episode.task, episode.concept)
        assert (row["format"], row["selector"], row["licence"]) == (episode.format, episode.selector, episode.licence)
        assert sources[0].shards[row["shard"]] == sample.shard
        places = stock.members.slice(row["first"], row["members"]).to_pylist()
        data = Path(run.shards.local(sample.shard)).read_bytes()
        parts = [data[place["offset"] : place["offset"] + place["size"]] for place in places]
        assert parts == [sample.json, *sample.images]


def test_bytes_do_not_depend_on_workers_and_nothing_is_scanned_twice(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    sources = opened(spec_of(varied_run(tmp_path / "run", picture, 20)))
    one, two = (scan(sources, Estimate(), Folder.of(tmp_path / name), workers)[0] for name, workers in (("1", 1), ("2", 2)))
    assert StageManifest.load(one).digest == StageManifest.load(two).digest
    before = [one.local(name).stat().st_mtime_ns for name in one.names() if name.startswith(RECEIPTS)]
    scan(sources, Estimate(), Folder.of(tmp_path / "1"))
    assert before == [one.local(name).stat().st_mtime_ns for name in one.names() if name.startswith(RECEIPTS)]


def test_what_cannot_be_used_is_rejected_with_its_reason(tmp_path: Path) -> None:
    image = record()["query"]["images"][0]
    samples = {
        "good": [("json", as_member(record())), PICTURE],
        "garbage": [("json", b"\xff{"), PICTURE],
        "list": [("json", b"[1]"), PICTURE],
        "deep": [("json", b"[" * 100_000), PICTURE],
        "fields": [("json", b"{}"), PICTURE],
        "types": [("json", as_member(record(concept=3))), PICTURE],
        "nan": [("json", as_member(record(query={**record()["query"], "similarity": float("nan")}))), PICTURE],
        "huge": [("json", as_member(record(demonstrations=[{**record()["query"], "similarity": 1.7e308}] * 2))), PICTURE],
        "size": [("json", as_member(record(query={**record()["query"], "images": [{**image, "width": True}]}))), PICTURE],
        "surrogate": [("json", b'{"task": "\\ud800"}'), PICTURE],
        "names": [("json", as_member(record(members=["0.jpg"]))), PICTURE],
        "evil": [("json", as_member(record(members=["../x"]))), ("../x", b"")],
        "first": [PICTURE, ("json", as_member(record()))],
    }
    folder = hand_made(tmp_path / "shards", list(samples.items()))
    sources = opened(spec_of(folder))
    (place,) = scan(sources, Estimate(), Folder.of(tmp_path / "catalogue"))
    manifest = StageManifest.load(place)
    assert manifest.counts == {"in": 13, "out": 1, "dropped": 0, "rejected": 12}
    assert manifest.rejected == {"member_mismatch": 2, "no_json": 1, "not_an_episode": 6, "not_json": 3}
    assert [row["key"] for table in read_stage(place) for row in table.to_pylist()] == ["good"]


def test_a_damaged_record_is_told_from_a_damaged_index(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    run = varied_run(tmp_path / "run", picture, 7)
    shard = Path(run.shards.local("part-00000.tar"))
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    sources = opened(spec_of(run))
    (place,) = scan(sources, Estimate(), Folder.of(tmp_path / "one"))
    assert StageManifest.load(place).rejected == {"damaged": 1}
    index = Path(run.shards.local("part-00000.index.parquet"))
    data = bytearray(index.read_bytes())
    data[-20] ^= 1
    index.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"part-00000\.index\.parquet is damaged"):
        scan(sources, Estimate(), Folder.of(tmp_path / "two"))


def test_wrong_sources_are_told_apart(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    bare = tmp_path / "bare"
    (bare / "demonstrations").mkdir(parents=True)
    run = varied_run(tmp_path / "run", picture, 7)
    episodes_only = tmp_path / "only"
    (episodes_only / "episodes").mkdir(parents=True)
    (episodes_only / "episodes" / "manifest.json").write_text("{}")
    for place, says in (
        (tmp_path / "missing", "does not exist"),
        (empty, "has no shards"),
        (bare, "demonstrations:"),
        (episodes_only, "curate shards write"),
        (hand_made(tmp_path / "none", None), "has no shard, so"),
    ):
        with pytest.raises(InputError, match=says):
            opened(spec_of(place))
    run.shards.remove("part-00000.tar")
    with pytest.raises(InputError, match=r"part-00000\.tar is missing"):
        opened(spec_of(run))


def test_shards_without_a_usable_sample_are_refused(tmp_path: Path) -> None:
    sources = opened(spec_of(hand_made(tmp_path / "shards", [("k", [("json", b"nothing")])])))
    places = scan(sources, Estimate(), Folder.of(tmp_path / "catalogue"))
    with pytest.raises(InputError, match="1 not_json"):
        assemble(sources, places)


def test_the_estimate_counts_answers_and_pictures_by_size() -> None:
    tokens = Estimate().count(record())
    assert tokens.supervised == 2 + 1  # five bytes are two tokens, and one ends the answer
    assert tokens.image == 2 * 2  # 56 x 30 pixels


def test_measures_are_unknown_where_nothing_is_known() -> None:
    shots = [
        {"role": "positive", "similarity": 0.2},
        {"role": "negative", "similarity": 0.5},
        {"role": "support", "similarity": None},
    ]
    assert coherence(shots) == pytest.approx(0.35)
    assert hardness(shots) == pytest.approx(0.3)
    assert (coherence([]), hardness(shots[:1])) == (None, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(record())), json_values)
def test_no_record_does_worse_than_be_rejected(field: str, value: object) -> None:
    try:
        row = facts(json.dumps({**record(), field: value}).encode(), ["0.png"], Estimate())
    except BadRecord:
        return
    assert row["shots"] == 0


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_be_rejected(data: bytes) -> None:
    with pytest.raises(BadRecord):
        facts(data, ["0.png"], Estimate())
