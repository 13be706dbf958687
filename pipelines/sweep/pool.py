"""What all trials of a sweep share: sources prepared and scanned once, and every sample rendered and measured once.

OUT/pool/catalogue   the scanned sources (or where the mix file's `catalogue` says), and sources made of instruction sets
OUT/pool/plan        a plan of every sample, whose lengths the plans of trials borrow
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.engine import Progress
from curate.errors import ConfigError, ShotcraftError
from curate.mixture.build import Mixing, build_plan
from curate.mixture.catalogue import scan
from curate.mixture.settings import MixSpec, resolved
from curate.mixture.sources import Source
from curate.mixture.stock import assemble
from curate.settings import build
from curate.shards.plans import PLAN, Plan
from curate.storage import Folder, hash_json
from pipelines.console import now_and_then
from pipelines.mixing import Job
from pipelines.sweep.design import TRIALS, Trial
from pipelines.sweep.setting import POOL, Setting, train_config
from pipelines.sweep.stock import Held

if TYPE_CHECKING:
    from train.config import TrainConfig
    from train.data.lengths import Progress as Measuring
    from train.data.rendering import Renderer


@dataclass(frozen=True)
class Pool:
    """The shared part of a sweep in a folder."""

    out: Path
    setting: Setting
    workers: int = 1
    progress: Progress | None = None

    def held(self, swept: Iterable[str] = ()) -> Held:
        """The sources, prepared and scanned; what was scanned before is not scanned again."""
        with self._alone():
            sources, how = self._opened()
            stock = assemble(sources, scan(sources, how.counter, how.catalogue, self.workers, self.progress))
        return Held(build(MixSpec, self.setting.mix), sources, stock, tuple(swept))

    def _opened(self) -> tuple[list[Source], Mixing]:
        job = Job(build(MixSpec, self.setting.mix), self.out, self._folder / "plan")
        return job.sources(self.workers, self.progress)

    @property
    def _folder(self) -> Folder:
        return Folder.of(self.out) / POOL

    def plan(self) -> Plan:
        """Every sample once, in one block; built where it is not there, or of other sources."""
        with self._alone():
            sources, how = self._opened()
            known = _whole_plan(how.plan)
            if known and [one.digest for one in known.manifest.sources] == [one.manifest.digest for one in sources]:
                return known
            return build_plan(whole(self.setting.mix), [_once(source) for source in sources], how)

    def measure(self, trials: Iterable[Trial]) -> Plan:
        """Renders and measures every sample for each way in which trials render; once, whoever asks again."""
        from train.data.lengths import measure

        plan = self.plan()
        note = now_and_then()
        for config in self._ways(trials):
            renderer = self.renderer(config)
            held = [Plan.open(self.place(config.validation.plan))] if config.validation else []
            for one in (plan, *held):
                measure(one, renderer, self.workers, _telling(note), config.data.load.max_faults)
        return plan

    def _ways(self, trials: Iterable[Trial]) -> list["TrainConfig"]:
        configs = (train_config(self.setting.config_of(trial.id, trial.point, trial.seed)) for trial in trials)
        return list({hash_json(config.data.render.model_dump(mode="json")): config for config in configs}.values())

    def renderer(self, config: "TrainConfig") -> "Renderer":
        """How a trial writes episodes as tokens."""
        from train.checkpoint import weights_of
        from train.data.rendering import Renderer

        return Renderer.load(weights_of(self.place(config.model)).base, config.data.render)

    def place(self, name: str) -> str:
        """A place of the setting as seen from the working folder; a hub name stays what it is."""
        beside = os.path.join(self.out, name)
        return beside if "://" not in name and os.path.exists(beside) else name

    def trial_plan(self, trial: Trial) -> Plan:
        """The plan of a trial, with the pool's lengths; built where it is not there whole."""
        from train.data.borrowing import borrow

        folder = Folder.of(self.out) / TRIALS / trial.id / "plan"
        plan = _whole_plan(folder)
        if plan is None:
            with self._alone():
                plan = Job(self.setting.spec_of(trial.point, trial.seed), self.out, folder).build(1, None)
        config = train_config(self.setting.config_of(trial.id, trial.point, trial.seed))
        borrow(plan, Plan.open(self._folder / "plan"), self.renderer(config))
        return plan

    def digests(self) -> dict[str, Any]:
        """Of everything that trials read: part of their names, and checked before they run."""
        with self._alone():
            sources, how = self._opened()
        benches = {name: self._bench_digest(name, str(one["place"])) for name, one in self.setting.benchmarks.items()}
        held = (self.setting.train.get("validation") or {}).get("plan")
        return {
            "sources": {source.name: source.manifest.digest for source in sources},
            "benchmarks": benches,
            "held_out": Plan.open(self.place(held)).digest if held else "",
            "tokens": how.counter.digest,
            "model": model_digest(self.place(self.setting.train["model"])),
        }

    def _bench_digest(self, name: str, place: str) -> str:
        from curate.benches import Bench

        bench = Bench.open(self.place(place))
        if bench.name != name:
            raise ConfigError(f"benchmarks.{name}: {place} holds the benchmark {bench.name!r}; call it so")
        return bench.digest

    def check(self) -> None:
        """ConfigError when the data are not what the sweep was designed with."""
        found = self.digests()
        changed = [name for name, value in self.setting.data.items() if value != found[name]]
        if changed:
            raise ConfigError(f"{', '.join(changed)} changed since the sweep was designed; run curate sweep design again")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time opens and scans sources; trials side by side take turns."""
        catalogue = Folder.of(resolved(self.out, self.setting.mix["catalogue"]))
        if not catalogue.is_local:
            yield
            return
        import fcntl

        catalogue.local().mkdir(parents=True, exist_ok=True)
        with (catalogue.local() / ".sweep.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _telling(note: Callable[[str], None]) -> "Measuring":
    def told(done: int, total: int) -> None:
        note(f"measuring samples: {done:,} of {total:,}")

    return told


def whole(mix: dict[str, Any]) -> MixSpec:
    """A mix file of every sample of the same sources, once each."""
    sources = [{**one, "weight": None, "max_repeats": None} for one in mix["sources"]]
    kept = {name: mix[name] for name in ("tokens", "catalogue", "unit", "bands")}
    return build(MixSpec, {**kept, "sources": sources, "order": "flat", "tolerance": 100})


def _once(source: Source) -> Source:
    return Source(source.name, source.folder, source.manifest, source.shards, None, 1, source.replay)


def _whole_plan(folder: Folder) -> Plan | None:
    if not folder.exists(PLAN):
        return None
    try:
        return Plan.open(folder)
    except ShotcraftError:
        return None


def model_digest(place: str) -> str:
    """Of a model's folder, by the names and bytes of its files; of a run, by its checkpoints; of a hub name, the name."""
    import hashlib

    root = Path(place)
    if not root.is_dir():
        return place
    total = hashlib.sha256()
    for file in sorted(path for path in root.rglob("*") if path.is_file() and path.suffix in WEIGHTS):
        total.update(f"{file.relative_to(root)}\x00".encode())
        with file.open("rb") as data:
            total.update(hashlib.file_digest(data, "sha256").digest())
    return total.hexdigest()


WEIGHTS = {".json", ".safetensors", ".bin", ".yaml", ".model", ".jinja", ".txt", ".gguf", ".distcp"}
