"""How quickly a run goes, exact over ranks: sums over the steps since the last line of the log."""

import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from train.data.records import Batch
from train.metrics.flops import Flops

if TYPE_CHECKING:
    from train.data.lengths import Counts
    from train.parallel.ranks import Ranks

SMOOTHING = 0.7
"""Share of the old step time that a new stretch leaves in the one that the ETA is told from."""


class Meter:
    """Counts what passes on this rank; `figures` sums it over ranks and begins a new stretch.

    Between two calls of `figures` nothing waits for a GPU: counts of batches that lie there add up there.
    """

    def __init__(
        self, ranks: "Ranks", flops: Flops | None, steps: int, peak: float | None, images: "Counts | None" = None
    ) -> None:
        """`steps` of the whole run; `peak` flops a second of one device (peak_flops). Without flops or peak, no MFU.

        `images` [S] pictures of the plan's samples (Lengths.images). Without it they are counted by a batch's tensors,
        among them the blank ones, and Idefics' tiles for pictures.
        """
        self._ranks, self._flops, self._steps, self._peak, self._images = ranks, flops, steps, peak, images
        self._step_s: float | None = None
        self._began: float | None = None  # the first stretch begins when the first batch is waited for
        self._clear()

    def _clear(self) -> None:
        self._counts = torch.zeros(5, dtype=torch.float64)  # all, real, supervised positions, images, flops
        self._taken, self._waited, self._paused = 0, 0.0, 0.0
        self._norm: torch.Tensor | float | None = None

    def waited(self, seconds: float) -> None:
        """Time that went into waiting for data."""
        self._waited += seconds
        if self._began is None:
            self._began = time.perf_counter() - seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that belongs to no step: validation, a checkpoint that has to be waited for."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - began

    def step(self, batches: Sequence[Batch], norm: torch.Tensor | float | None = None) -> None:
        """Counts a step with this rank's micro-batches and the norm of the whole gradient."""
        for batch in batches:
            positions = counts(batch)
            counted = torch.stack([*positions, positions[0].new_tensor(self._images_of(batch)), self._flops_of(batch)])
            self._counts = self._counts.to(counted.device, non_blocking=True) + counted
        self._taken, self._norm = self._taken + 1, norm

    def _images_of(self, batch: Batch) -> int:
        if self._images is None:
            return images_of(batch)
        return int(sum(self._images[segment.sample] for segment in batch.contents))

    def _flops_of(self, batch: Batch) -> torch.Tensor:
        return self._flops(batch) if self._flops else batch.labels.new_zeros((), dtype=torch.float64)

    def figures(self, optimizer: torch.optim.Optimizer, done: int) -> dict[str, Any]:
        """What the stretch was like, once `done` steps of the run are done; every rank must ask.

        lr by part, grad_norm of the last step, step_s, tokens_per_s {all, real, supervised} and images_per_s of all
        ranks, data_wait and mfu (shares), memory_gb {now, peak} of the rank that has most, eta_s.
        """
        norm = None if self._norm is None else float(self._norm)  # waits for the device: before the clock is read
        now = time.perf_counter()
        seconds = max(now - (self._began or now) - self._paused, 1e-9)
        own = torch.tensor([seconds, self._waited], dtype=torch.float64)
        sums = self._ranks.sum(torch.cat([self._counts.cpu(), own]).to(self._ranks.device)).tolist()
        *tokens, images, flops, time_of_all, waited = sums
        mean = time_of_all / self._ranks.world
        figures: dict[str, Any] = {"lr": learning_rates(optimizer), "grad_norm": norm}
        figures |= self._pace(mean, done)
        names = ("all", "real", "supervised")
        figures["tokens_per_s"] = {name: count / mean for name, count in zip(names, tokens, strict=True)}
        figures |= {"images_per_s": images / mean, "data_wait": min(1.0, waited / time_of_all)}
        figures["memory_gb"] = self._memory()
        if self._flops and self._peak and flops:
            figures["mfu"] = flops / (self._peak * time_of_all)
        self._clear()
        self._began = now
        return figures

    def _pace(self, seconds: float, done: int) -> dict[str, float]:
        """Time of a step, and what is left at the smoothed one."""
        if not self._taken:
            return {}
        step_s, old = seconds / self._taken, self._step_s
        self._step_s = step_s if old is None else SMOOTHING * old + (1 - SMOOTHING) * step_s
        return {"step_s": step_s, "eta_s": max(0, self._steps - done) * self._step_s}

    def _memory(self) -> dict[str, float]:
        """Of the fullest rank; every one tells its own."""
        told = [memory(self._ranks.device)] if self._ranks.world == 1 else self._ranks.gather(memory(self._ranks.device))
        known = [dict(one) for one in told if isinstance(one, Mapping)]
        return {name: max(float(one[name]) for one in known) for name in ("now", "peak")}


def counts(batch: Batch) -> list[torch.Tensor]:
    """Positions in all, without padding, and supervised; scalars [] float64 where the batch lies."""
    planes = (torch.ones_like(batch.segments), batch.segments > 0, batch.weights > 0)
    return [plane.sum(dtype=torch.float64) for plane in planes]


def images_of(batch: Batch) -> int:
    """Pictures of a micro-batch by its tensors, tiles of LLaVA-NeXT's together, those of Idefics' each."""
    if "image_grid_thw" in batch.inputs:
        return len(batch.inputs["image_grid_thw"])
    pixels = batch.inputs.get("pixel_values")
    if pixels is None:
        return 0
    tiled = pixels.ndim == 5 and "image_sizes" not in batch.inputs
    return int(pixels.shape[0] * (pixels.shape[1] if tiled else 1))


def memory(device: torch.device) -> dict[str, float]:
    """Gigabytes (1e9 bytes) that this process has: on the GPU what its tensors take there, else its resident memory."""
    if device.type == "cuda":
        now, peak = torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        now = _resident() or peak
    return {"now": now / 1e9, "peak": peak / 1e9}


def _resident() -> int:
    """Bytes of this process in memory now; 0 where the system has no /proc."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * resource.getpagesize() if status.exists() else 0


def learning_rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """The learning rate of each part, by the `part` of the optimiser's groups; the highest where a part has several."""
    found: dict[str, float] = {}
    for number, group in enumerate(optimizer.param_groups):
        name = str(group.get("part", number))
        found[name] = max(found.get(name, 0.0), float(group["lr"]))
    return found
