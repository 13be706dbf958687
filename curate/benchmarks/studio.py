"""Where the pictures of composed benchmarks are made: which cut-outs are asked about, which demonstrate, scene by scene."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from curate.benchmarks.composing import Cutout, SceneSettings, cutouts, scatter, side_by_side
from curate.benchmarks.material import Material
from curate.benchmarks.settings import BenchSettings
from curate.episodes.dice import Floats
from curate.errors import InputError
from curate.images import open_rgb, verify
from curate.schema import Episode, Image, Provenance, Role, Shot
from curate.seeding import rng
from curate.storage import hash_json, sha256

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

BATCH = 32  # pictures encoded at once
ASKED = 3
"""One concept in so many is for queries; the others demonstrate."""


class ComposedSettings(BenchSettings):
    """Benchmarks whose pictures are composed of a run's cut-outs."""

    scenes: SceneSettings = SceneSettings()
    """How cut-outs become scenes."""
    objects: int = Field(120, ge=1)
    """Cut-outs at most for queries, and as many again for demonstrations."""
    encoder: str = ""
    """Encoder for the similarity of the composed pictures, such as `offline`; without one there is no kNN baseline."""


@dataclass
class Studio:
    """Composes scenes, and keeps their bytes and licences."""

    spec: ComposedSettings
    seed: int
    pictures: dict[str, bytes] = field(default_factory=dict)  # ref -> PNG
    licences: dict[str, str] = field(default_factory=dict)  # ref -> licence of the cut-out
    _vectors: dict[str, Floats] = field(default_factory=dict, repr=False)  # ref -> unit vector

    def scene(self, cutout: Cutout, count: int, key: str) -> Image:
        """The scene called `key`: the same arguments, the same bytes."""
        return self._kept(self._drawn(cutout, count, key), cutout)

    def pair(self, cutout: Cutout, counts: tuple[int, int], key: str, together: bool) -> tuple[Image, ...]:
        """Two scenes of one object, as two pictures or as one."""
        left, right = (self._drawn(cutout, count, f"{key}/{at}") for at, count in enumerate(counts))
        joined = (side_by_side(left, right),) if together else (left, right)
        return tuple(self._kept(picture, cutout) for picture in joined)

    def _drawn(self, cutout: Cutout, count: int, key: str) -> "Picture":
        dice = rng(self.seed, "bench.scene", f"{self.spec.name}/{key}/{cutout.demonstration.id}/{count}")
        return scatter(cutout, count, dice, self.spec.scenes).picture

    def _kept(self, picture: "Picture", cutout: Cutout) -> Image:
        out = io.BytesIO()
        picture.save(out, "PNG")
        data = out.getvalue()
        facts, ref = verify(data), f"{sha256(data)}.png"
        self.pictures[ref], self.licences[ref] = data, cutout.demonstration.licence
        return Image(ref, facts.width, facts.height, facts.phash)

    def compare(self, pairs: Sequence[tuple[Shot, Shot]]) -> None:
        """Looks up how alike the pictures of queries and demonstrations are, where the spec names an encoder."""
        if not self.spec.encoder:
            return
        from curate.encoders.load import load_encoder

        refs = sorted({image.ref for pair in pairs for shot in pair for image in shot.images})
        encoder = load_encoder(self.spec.encoder, "tower")
        chunks = [refs[at : at + BATCH] for at in range(0, len(refs), BATCH)]
        rows = [encoder.encode_images([open_rgb(self.pictures[ref]) for ref in chunk]) for chunk in chunks]
        self._vectors = dict(zip(refs, np.concatenate(rows), strict=True)) if rows else {}

    def beside(self, query: Shot, shot: Shot, positive: bool | None) -> Shot:
        """A demonstration as it stands beside a query; `positive` where there are classes."""
        role: Role = "support" if positive is None else "positive" if positive else "negative"
        return replace(shot, role=role, similarity=self._likeness(query, shot))

    def _likeness(self, query: Shot, shot: Shot) -> float | None:
        if not self._vectors:
            return None
        one, other = (np.sum([self._vectors[image.ref] for image in shown.images], axis=0) for shown in (query, shot))
        return round(float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-9)), 5)

    def episode(self, name: str, task: str, concept: str, turns: Sequence[Shot], query: Shot) -> Episode:
        """An item's episode."""
        licences = dict.fromkeys(self.licences[image.ref] for shot in (*turns, query) for image in shot.images)
        return Episode(
            f"{self.spec.name}-{name}",
            task,
            concept,
            "open_qa",
            tuple(turns),
            replace(query, role="query"),
            "composed",
            "balanced",
            hash_json(self.spec.model_dump(mode="json")),
            self.seed,
            "composed",
            "; ".join(licence for licence in licences if licence),
            Provenance("composed", name),
        )

    def cast(self, material: Material) -> tuple[Iterator[Cutout], Iterator[Cutout]]:
        """Cut-outs for queries and for demonstrations, each list over and over; they share no concept."""
        asked, shown = self._rows(material)
        queries, support = (
            self._cut(material, rows, most) for rows, most in ((asked, self.spec.objects), (shown, self.spec.objects))
        )
        if not queries or not support:
            raise InputError(
                f"benchmark {self.spec.name!r}: {len(queries)} cut-outs for queries and {len(support)} for demonstrations; "
                "it wants drawings in one piece on a transparent ground, at least half as large as a scene"
            )
        return cycle(queries), cycle(support)

    def _rows(self, material: Material) -> tuple[list[int], list[int]]:
        """Rows of the query side and of the demonstration side, in random order."""
        asked, shown = (material.queries(self.spec).tolist(), material.support(self.spec).tolist())
        names = sorted({_concept(material, row) for row in {*asked, *shown}})
        dice = rng(self.seed, "bench.cast", self.spec.name)
        order = [names[at] for at in dice.permutation(len(names)).tolist()]
        for_queries = set(order[: max(1, len(order) // ASKED)])
        sides = (
            [row for row in asked if _concept(material, row) in for_queries],
            [row for row in shown if _concept(material, row) not in for_queries],
        )
        asked, shown = ([side[at] for at in dice.permutation(len(side)).tolist()] for side in sides)
        return asked, shown

    def _cut(self, material: Material, rows: Sequence[int], most: int) -> list[Cutout]:
        """The first cut-outs that rows give, one a concept."""
        found: dict[str, Cutout] = {}
        for cutout in cutouts((material.demonstrations[row] for row in rows), material.run.images, self.spec.scenes):
            found.setdefault(cutout.concept, cutout)
            if len(found) == most:
                break
        return list(found.values())


def _concept(material: Material, row: int) -> str:
    shown = material.demonstrations[row]
    return (shown.concepts or (shown.answer,))[0].casefold()


def distinct(cast: Iterator[Cutout], count: int) -> list[Cutout]:
    """The next cut-outs; repeated only where there are fewer."""
    return list(islice(cast, count))
