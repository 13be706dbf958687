"""Whether a frozen benchmark is what it says: bytes, pictures, shortcuts, leaks, disjointness."""

from curate.benches import Bench


def check_bench(bench: Bench, against: list[str] | None = None, margin: float = 0.01) -> list[str]:
    """What is wrong with a benchmark, a line each, [] when nothing is: pictures that are not what their refs say; answerers
    that see no query picture and score above chance by more than `margin`; queries shown among their demonstrations; and,
    with `against` (runs or plans), what it shares with them."""
    raise NotImplementedError
