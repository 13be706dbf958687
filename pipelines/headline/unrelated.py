"""Random demonstrations: the same episodes, each with the demonstrations of another.

Queries, formats, options, pictures, lengths and positions stay what they are, and every set of demonstrations stands in
exactly one episode; only that the demonstrations have to do with the query is gone.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from curate.engine import PartWriter, SourcePart, StageManifest, lineage_of, partitions_of
from curate.engine import run as run_stage
from curate.errors import ShotcraftError
from curate.layout import Run
from curate.schema import Episode, from_table, to_table
from curate.seeding import rng
from curate.settings import Settings
from curate.shards import ShardSettings, write_shards
from pipelines.console import Watch, say


class ExchangeSettings(Settings):
    """How demonstrations are exchanged."""

    seed: int = 0
    """Another seed, other exchanges."""


class Exchange:
    """The stage: a part of Episodes in, as many out, demonstrations exchanged among those of equal form."""

    name, version = "exchange-demonstrations", "1"

    def __init__(self, settings: ExchangeSettings) -> None:
        self.settings: Settings = settings
        self._seed = settings.seed

    def setup(self) -> None:
        """Reads its own name for provenance once."""
        self._lineage = lineage_of(self)

    def process(self, payload: SourcePart, part: PartWriter) -> None:
        """Makes a part of Episodes; those that have nobody to exchange with are dropped."""
        episodes = from_table(payload.table(), Episode)
        given = exchanged(episodes, self._seed)
        made = []
        for episode, other in zip(episodes, given, strict=True):
            part.saw()
            if other is None:
                part.drop(episode.id, "nobody_to_exchange_with")
            else:
                made.append(self._with(episode, other))
        part.table(to_table(made, Episode))

    def _with(self, episode: Episode, other: Episode) -> Episode:
        """The episode with another's demonstrations, of which nothing is known to be alike."""
        shots = tuple(replace(shot, role="support", similarity=None) for shot in other.demonstrations)
        origin = replace(episode.provenance, lineage=(*episode.provenance.lineage, self._lineage))
        return replace(episode, demonstrations=shots, selector="unrelated", order="random", provenance=origin)


def exchanged(episodes: Sequence[Episode], seed: int) -> list[Episode | None]:
    """Whose demonstrations each episode gets: a random cycle through the episodes of equal format, shots and options that
    share no picture with the query. An episode without demonstrations keeps having none; None where there is nobody."""
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for at, episode in enumerate(episodes):
        alike[(episode.format, len(episode.demonstrations), len(episode.query.options))].append(at)
    given: list[Episode | None] = list(episodes)
    for key, places in sorted(alike.items(), key=str):
        if not key[1]:
            continue
        order = np.asarray(places)[rng(seed, "exchange", f"{key} {episodes[places[0]].id}").permutation(len(places))].tolist()
        for place, giver in zip(order, [*order[1:], order[0]], strict=True):
            given[place] = episodes[giver] if _may_stand(episodes[place], episodes[giver]) else None
    return given


def _may_stand(episode: Episode, other: Episode) -> bool:
    """Whether another's demonstrations are another's, and hold no picture of the query."""
    mine = {image.ref for image in episode.query.images}
    theirs = {image.ref for shot in other.demonstrations for image in shot.images}
    return episode.id != other.id and not mine & theirs


def build_unrelated(origin: Run, run: Run, seed: int = 0, watch: Watch | None = None) -> StageManifest:
    """RUN/episodes and RUN/shards with the episodes of another run, demonstrations exchanged."""
    inputs = {"episodes": StageManifest.load(origin.episodes).digest}
    stage = Exchange(ExchangeSettings(seed=seed))
    made = run_stage(stage, partitions_of(origin.episodes), run.episodes, inputs, 1, watch)
    write_shards(run, ShardSettings(max_mb=64), 1, watch, origin.images)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds the run; 2 or 3 for what a user can mend."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.headline.unrelated", description=__doc__)
    parser.add_argument("run", help="the run whose episodes are taken")
    parser.add_argument("--out", required=True, help="folder of the new run")
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args(arguments)
    watch = Watch()
    try:
        build_unrelated(Run.at(told.run), Run.at(told.out), told.seed, watch)
    except ShotcraftError as error:
        say(f"error: {' '.join(str(error).split())}")
        return error.exit_code
    finally:
        watch.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
