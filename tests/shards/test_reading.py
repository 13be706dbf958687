"""What was written is what is read: by us, by plain webdataset and by datasets."""

import io
import json
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from curate.errors import IntegrityError
from curate.layout import Run
from curate.schema import as_json
from curate.shards import Sample, ShardReader, ShardSettings, read, read_member, write_shards
from curate.shards.features import features
from curate.shards.index import ShardIndex
from curate.storage import Folder

SMALL = ShardSettings(max_episodes=6)


def pictures(run: Run, episode: Any) -> list[bytes]:
    shots = [*episode.demonstrations, episode.query]
    return [run.images.get(image.ref) for shot in shots for image in shot.images]


@pytest.mark.parametrize("part", ["", "/shards"])
def test_our_reader_gives_back_episodes_and_original_bytes(mixed_run: Run, part: str) -> None:
    write_shards(mixed_run, SMALL)
    episodes, samples = list(mixed_run.built_episodes()), list(read(mixed_run.root.uri + part))
    assert [sample.episode for sample in samples] == episodes
    assert [list(sample.images) for sample in samples] == [pictures(mixed_run, episode) for episode in episodes]
    assert [sample.key for sample in samples] == [f"{n:08d}" for n in range(20)]
    assert samples[0].turns == [[0, 1], [2, 3]]
    assert list(samples[0].suffixes) == samples[0].record["members"]


def test_shards_in_an_object_store_read_the_same(mixed_run: Run) -> None:
    write_shards(mixed_run, SMALL)
    remote = Folder.of("memory://read-shards")
    for name in mixed_run.shards.names():
        remote.write(name, mixed_run.shards.read(name))
    assert [(s.json, s.images) for s in read(remote)] == [(s.json, s.images) for s in read(mixed_run.shards)]


def test_members_and_samples_are_reached_by_offset(mixed_run: Run) -> None:
    write_shards(mixed_run, SMALL)
    samples = list(read(mixed_run.root.uri))
    with ShardReader(mixed_run.shards, "part-00001.tar") as reader:
        assert len(reader) == 6
        assert reader.sample(4).json == samples[10].json
        member = reader.index.members[2]
        data = reader.member(member)
    assert read_member(mixed_run.shards, "part-00001.tar", member.offset, member.size) == data == samples[6].images[1]
    for offset, size in ((member.offset, 10**9), (-512, 5), (10**12, 1), (512, -1)):
        with pytest.raises(IntegrityError, match="no member"):
            read_member(mixed_run.shards, "part-00001.tar", offset, size)


def test_a_damaged_member_is_named_before_its_bytes_are_used(mixed_run: Run) -> None:
    write_shards(mixed_run, SMALL)
    index = ShardIndex.load(mixed_run.shards, "part-00002.tar")
    path, member = mixed_run.shards.local("part-00002.tar"), index.members[7]
    data = bytearray(path.read_bytes())
    data[member.offset + 3] ^= 4
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=rf"part-00002.tar: {member.name} is damaged"):
        list(read(mixed_run.shards))


@pytest.mark.parametrize(("column", "value"), [("offset", 0), ("offset", 2**60), ("size", -1), ("size", 2**50)])
def test_an_index_that_cannot_be_true_is_refused(mixed_run: Run, column: str, value: int) -> None:
    write_shards(mixed_run, SMALL)
    path = mixed_run.shards.local("part-00000.index.parquet")
    table = pq.read_table(path)
    values = table[column].to_pylist()
    place = table.schema.get_field_index(column)
    for row in (3, len(values) - 1):
        changed = [*values[:row], value, *values[row + 1 :]]
        pq.write_table(table.set_column(place, table.schema.field(column), [changed]), path)
        with pytest.raises(IntegrityError):
            list(read(mixed_run.shards))


def test_plain_webdataset_reads_and_decodes_them(mixed_run: Run) -> None:
    import webdataset

    write_shards(mixed_run, SMALL)
    urls = [str(mixed_run.shards.local(f"part-0000{i}.tar")) for i in range(4)]
    ours = list(read(mixed_run.root.uri))
    raw = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [sample["__key__"] for sample in raw] == [sample.key for sample in ours]
    for sample, mine in zip(raw, ours, strict=True):
        assert [sample[suffix] for suffix in mine.suffixes] == list(mine.images)
        assert json.loads(sample["json"]) == mine.record
    for sample, mine in zip(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"), ours, strict=True):
        assert sample["json"] == mine.record
        assert all(isinstance(sample[suffix], Pillow.Image) for suffix in mine.suffixes)


def test_datasets_reads_mixed_shots_and_formats_with_the_features_of_the_manifest(mixed_run: Run, tmp_path: Any) -> None:
    import datasets

    write_shards(mixed_run, SMALL)
    files = sorted(str(path) for path in mixed_run.shards.local().glob("*.tar"))
    loaded = datasets.load_dataset(
        "webdataset", data_files=files, split="train", features=features(mixed_run.shards), cache_dir=str(tmp_path / "cache")
    )
    _same(loaded, mixed_run)


def test_datasets_reads_uniform_episodes_without_being_told_anything(pool: Any, tmp_path: Any) -> None:
    import datasets

    pool._formats = ("JPEG",) * 3
    run = pool.build([pool.episode(n, 2) for n in range(9)])
    write_shards(run, ShardSettings(max_episodes=4))
    files = sorted(str(path) for path in run.shards.local().glob("*.tar"))
    _same(datasets.load_dataset("webdataset", data_files=files, split="train", cache_dir=str(tmp_path / "cache")), run)


def _same(loaded: Any, run: Run) -> None:
    import datasets

    for column, feature in list(loaded.features.items()):
        if isinstance(feature, datasets.Image):
            loaded = loaded.cast_column(column, datasets.Image(decode=False))
    episodes = list(run.built_episodes())
    assert len(loaded) == len(episodes)
    for row, episode in zip(loaded, episodes, strict=True):
        record = row["json"]
        assert [row[suffix]["bytes"] for suffix in record["members"]] == pictures(run, episode)
        assert {key: record[key] for key in as_json(episode)} == as_json(episode)


def test_datasets_decodes_the_pictures(mixed_run: Run, tmp_path: Any) -> None:
    import datasets

    write_shards(mixed_run, SMALL)
    files = [str(mixed_run.shards.local("part-00000.tar"))]
    shapes = features(mixed_run.shards)
    loaded = datasets.load_dataset("webdataset", data_files=files, split="train", features=shapes, cache_dir=str(tmp_path))
    row, mine = loaded[0], next(read(mixed_run.root.uri))
    first = row[mine.suffixes[0]]
    assert first.size == Pillow.open(io.BytesIO(mine.images[0])).size


@pytest.mark.parametrize("text", [b"[1]", b"{", b"[" * 100_000, b"\xff"])
def test_json_that_is_no_record_is_named(text: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"part-00000.*00000001\.json"):
        _ = Sample("00000001", "part-00000.tar", text, (), ()).record
