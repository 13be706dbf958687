"""Measuring samples in worker processes: a part of the plan at a time, only KEY.json read, no picture touched."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from curate.errors import IntegrityError
from curate.shards.plans import Plan
from train.data.reading import SampleReader
from train.data.records import BadSample, Fault, Loaded, Measure, Rendered
from train.data.rendering import Renderer

READ_AT_ONCE = 256
"""Samples whose records are fetched together."""


def measured(rendered: Rendered) -> Measure:
    """What an episode costs."""
    supervised = int(np.count_nonzero(rendered.weights))
    return Measure(len(rendered.input_ids), len(rendered.images), rendered.image_tokens, supervised, len(rendered.kept))


@dataclass
class Part:
    """Measures of consecutive samples, and those that cannot be used."""

    measures: npt.NDArray[np.int32]  # [samples, 5], columns as in Measure
    faults: list[Fault] = field(default_factory=list)
    neutralised: int = 0  # control tokens in texts


class Measurer:
    """Measures samples of a plan by their numbers; pickles."""

    def __init__(self, plan: Plan, renderer: Renderer) -> None:
        self._reader, self._renderer = SampleReader(plan), renderer

    def part(self, numbers: Sequence[int]) -> Part:
        """The measures of some samples; all zero for those that cannot be used."""
        before, faults = self._renderer.neutralised, []
        measures = np.zeros((len(numbers), len(Measure._fields)), np.int32)
        for start in range(0, len(numbers), READ_AT_ONCE):
            for at, read in enumerate(self._reader.read(numbers[start : start + READ_AT_ONCE], pictures=False), start):
                found = self._of(read)
                if isinstance(found, Fault):
                    faults.append(found)
                else:
                    measures[at] = found
        return Part(measures, faults, self._renderer.neutralised - before)

    def _of(self, read: Loaded | Fault) -> Measure | Fault:
        if isinstance(read, Fault):
            return read
        sample = read.sample
        try:
            return measured(self._renderer.render(sample.record))
        except (IntegrityError, RecursionError) as error:  # not JSON, or nested without end
            return Fault(read.number, sample.key, sample.shard, "bad_record", str(error))
        except BadSample as error:
            return Fault(read.number, sample.key, sample.shard, error.reason, error.detail)
