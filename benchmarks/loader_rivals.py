"""The contenders of bench_loader.py: each one's usual loader over the same samples.

A contender gives an epoch's batches, again and again: uint8 tensors [images, 3, 336, 336] in the training process.
`decoder` is `own` (what the library itself does with a JPEG), or one for all: `pillow`, `torchvision`, `simplejpeg`.
"""

import io
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from loader_data import SIDE, Data, Sample, samples_of
from PIL import Image as Pillow

BATCH = {"singles": 32, "episodes": 8}
WORKERS = 2

Decode = Callable[[bytes], torch.Tensor]  # -> uint8 [3, 336, 336]
Epochs = Callable[[], Iterable[torch.Tensor]]


def with_pillow(data: bytes) -> torch.Tensor:
    return planes(np.array(Pillow.open(io.BytesIO(data)).convert("RGB")))


def with_simplejpeg(data: bytes) -> torch.Tensor:
    import simplejpeg

    return planes(simplejpeg.decode_jpeg(data))


def with_torchvision(data: bytes) -> torch.Tensor:
    from torchvision.io import ImageReadMode, decode_jpeg

    return decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB).contiguous()


def planes(pixels: np.ndarray) -> torch.Tensor:
    """[H, W, 3] -> [3, H, W]."""
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


DECODERS: dict[str, Decode] = {"pillow": with_pillow, "torchvision": with_torchvision, "simplejpeg": with_simplejpeg}


def of_tar(row: dict[str, Any], decode: Decode | None) -> torch.Tensor:
    """A webdataset row: bytes, or what its own decoder made of them."""
    images = [row[f"{place}.jpg"] for place in range(sum(name.endswith(".jpg") for name in row))]
    return torch.stack([decode(image) if decode else image for image in images])


def of_bytes(row: dict[str, Any], decode: Decode) -> torch.Tensor:
    """A row of a copy that keeps a sample's JPEGs one behind the other."""
    ends = np.cumsum(np.frombuffer(row["sizes"], np.int64)).tolist()
    return torch.stack([decode(row["jpegs"][start:end]) for start, end in zip([0, *ends], ends, strict=False)])


def of_picture(row: dict[str, Any]) -> torch.Tensor:
    """A row whose picture the library has decoded: a tensor, or Pillow's picture."""
    from torchvision.transforms.functional import pil_to_tensor

    image = row["image"]
    return (image if isinstance(image, torch.Tensor) else pil_to_tensor(image))[None]


def joined(samples: list[torch.Tensor]) -> torch.Tensor:
    """[images of all samples, 3, H, W], into shared memory in a worker, as torch's own collation does."""
    if torch.utils.data.get_worker_info() is None:
        return torch.cat(samples)
    count = sum(len(sample) for sample in samples)
    storage = samples[0]._typed_storage()._new_shared(count * samples[0][0].numel(), device="cpu")
    return torch.cat(samples, out=samples[0].new(storage).resize_(count, *samples[0].shape[1:]))


def webdataset(data: Data, kind: str, decoder: str) -> Epochs:
    import webdataset as wds

    rows = wds.WebDataset(data.shards, shardshuffle=100).shuffle(1000)
    if decoder == "own":
        rows = rows.decode("torchrgb8")
    samples = rows.map(partial(of_tar, decode=DECODERS.get(decoder)))
    batches = samples.batched(BATCH[kind], collation_fn=joined)
    loader = wds.WebLoader(batches, batch_size=None, num_workers=WORKERS, persistent_workers=True)
    return lambda: loader


def litdata(data: Data, kind: str, decoder: str) -> Epochs:
    from litdata import StreamingDataLoader, StreamingDataset

    read = of_picture if decoder == "own" else partial(of_bytes, decode=DECODERS[decoder])
    rows = StreamingDataset(str(data.copy(f"litdata-{stored(decoder)}")), shuffle=True, drop_last=False, transform=read)
    loader = StreamingDataLoader(
        rows, batch_size=BATCH[kind], num_workers=WORKERS, drop_last=False, collate_fn=joined, persistent_workers=True
    )
    return lambda: loader


def mosaicml(data: Data, kind: str, decoder: str) -> Epochs:
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory
    from torch.utils.data import DataLoader

    read = of_picture if decoder == "own" else partial(of_bytes, decode=DECODERS[decoder])

    class Rows(StreamingDataset):  # as its documentation shows
        def __getitem__(self, at: Any) -> torch.Tensor:
            return read(super().__getitem__(at))

    clean_stale_shared_memory()
    rows = Rows(local=str(data.copy(f"mds-{stored(decoder)}")), shuffle=True, batch_size=BATCH[kind])
    loader = DataLoader(rows, batch_size=BATCH[kind], num_workers=WORKERS, collate_fn=joined, persistent_workers=True)
    return lambda: loader


class Assemble:
    """Our loader's batches: `own` decodes as the trainer does, into one block of memory."""

    def __init__(self, decoder: str) -> None:
        import torchvision.io  # noqa: F401  a processor has it imported before workers start

        self._decoder = decoder

    def __call__(self, rows: list[Any]) -> torch.Tensor:
        images = [image for row in rows for loaded in row for image in loaded.sample.images]
        if self._decoder != "own":
            return torch.stack([DECODERS[self._decoder](image) for image in images])
        from train.data.pictures import pixels

        block = torch.empty((len(images), SIDE, SIDE, 3), dtype=torch.uint8)
        planes = block.permute(0, 3, 1, 2)
        for place, image in zip(planes, images, strict=True):
            place.copy_(pixels(image))
        return planes


def shotcraft(data: Data, kind: str, decoder: str) -> Epochs:
    from curate.shards.plans import Plan
    from train.data.loader import Loader, LoaderSettings

    settings = LoaderSettings(batch=BATCH[kind], micro_batch=BATCH[kind], packing=False, workers=WORKERS, epochs=None)
    loader = Loader(Plan.open(data.plan), Assemble(decoder), settings)
    steps = iter(loader)
    count = -(-int(data.facts["samples"]) // BATCH[kind])

    def epoch() -> Iterator[torch.Tensor]:
        for _ in range(count):
            yield from next(steps)

    return epoch


CONTENDERS: dict[str, Callable[[Data, str, str], Epochs]] = {
    "shotcraft": shotcraft,
    "webdataset": webdataset,
    "litdata": litdata,
    "mosaicml-streaming": mosaicml,
}


def stored(decoder: str) -> str:
    """How a rival's copy keeps pictures: as its own JPEG type, or as bytes."""
    return "jpeg" if decoder == "own" else "bytes"


def convert(data: Data, kinds: Iterable[str]) -> None:
    """Makes the rivals' copies that are not there yet; `kinds` of jpeg and bytes."""
    samples: list[Sample] = []
    for kind in kinds:
        for name, write in (("litdata", _write_litdata), ("mds", _write_mds)):
            place = data.copy(f"{name}-{kind}")
            if not (place / "index.json").exists():
                shutil.rmtree(place, ignore_errors=True)
                samples = samples or samples_of(data)
                write(place, kind, samples)


def _packed(sample: Sample) -> dict[str, bytes]:
    sizes = np.array([len(image) for image in sample.images], np.int64)
    return {"json": sample.json, "sizes": sizes.tobytes(), "jpegs": b"".join(sample.images)}


def _write_litdata(place: Path, kind: str, samples: list[Sample]) -> None:
    from litdata import optimize

    rows = partial(_litdata_row, kind=kind)
    optimize(rows, samples, str(place), chunk_bytes="64MB", num_workers=1, verbose=False)


def _litdata_row(sample: Sample, kind: str) -> dict[str, Any]:
    from litdata import Jpeg

    return _packed(sample) if kind == "bytes" else {"json": sample.json, "image": Jpeg(bytes=sample.images[0])}


def _write_mds(place: Path, kind: str, samples: list[Sample]) -> None:
    from streaming import MDSWriter

    names = ("json", "sizes", "jpegs") if kind == "bytes" else ("json", "image")
    columns = {name: "jpeg" if name == "image" else "bytes" for name in names}
    with MDSWriter(out=str(place), columns=columns) as out, TemporaryDirectory() as folder:  # 64 MiB a shard
        for sample in samples:
            out.write(_packed(sample) if kind == "bytes" else _mds_row(sample, Path(folder) / "picture.jpg"))


def _mds_row(sample: Sample, path: Path) -> dict[str, Any]:
    """A picture with a file: of one without, the writer would encode the pixels anew at quality 75."""
    path.write_bytes(sample.images[0])
    return {"json": sample.json, "image": Pillow.open(path)}
