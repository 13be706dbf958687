"""A frozen benchmark of a few items, its pictures drawn here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.benches import Bench, BenchManifest, Item, write_bench
from curate.images import verify
from curate.schema import Episode, Image, Provenance, Shot
from curate.storage import Folder, sha256


def small_bench(folder: Path, draw: Callable[..., bytes], **more: Any) -> Bench:
    """Two questions at 0 and at 2 shots in two arrangements each; letters A and B, every picture its own."""
    pictures: dict[str, bytes] = {}

    def shot(seed: int, answer: str, query: bool = False) -> Shot:
        data = draw(seed, size=(40, 30), mode="RGBA" if seed % 2 else "RGB")
        facts = verify(data)
        ref = f"{sha256(data)}.{facts.extension}"
        pictures[ref] = data
        image = Image(ref, facts.width, facts.height, facts.phash)
        return Shot("query" if query else "positive", None, f"d{seed}", "", (image,), f"Q{seed}?", answer, answer)

    items = [
        Item(
            f"{question}-{shots}-{turned}", str(question), shots, 2, ("A", "B"), ("A",),
            Episode(
                f"e{question}-{shots}-{turned}", "category", "c", "multiple_choice",
                tuple(shot(10 * question + place, "AB"[(place + turned) % 2]) for place in range(shots)),
                shot(10 * question + 9, "A", True), "s", "o", "", 0, "s", "l", Provenance("s", "r"),
            ),
        )
        for question in range(2) for shots in (0, 2) for turned in range(2)
    ]  # fmt: skip
    plain: dict[str, Any] = {
        "format": 1, "name": "tiny", "version": "1", "title": "A or B: what is it?", "kind": "choice", "metric": "choice",
        "domain": "drawn", "spec": {}, "counts": {}, "baselines": {}, "disjoint": {},
    }  # fmt: skip
    return write_bench(Folder.of(folder), BenchManifest(**{**plain, **more}), items, pictures)
