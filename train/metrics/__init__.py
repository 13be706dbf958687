"""What a run tells about itself: throughput and memory, model flops, metrics.jsonl and TensorBoard, the progress line."""

from train.metrics.flops import Flops
from train.metrics.line import Plain, Silent, Watch, told
from train.metrics.logbook import Logbook, Row
from train.metrics.meter import Meter
from train.metrics.peak import peak_flops
from train.metrics.profiling import profiled

__all__ = ["Flops", "Logbook", "Meter", "Plain", "Row", "Silent", "Watch", "peak_flops", "profiled", "told"]
