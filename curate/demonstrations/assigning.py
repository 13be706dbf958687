"""Which sentence goes to which image, from their similarities alone."""

import numpy as np
import numpy.typing as npt

from curate.demonstrations.sentences import Sentence


def within_window(
    similarity: npt.NDArray[np.float64], places: list[int], candidates: list[Sentence], window: int
) -> npt.NDArray[np.float64]:
    """Similarities with those of sentences further than `window` nodes away set to -1, the worst there is."""
    if not window:
        return similarity
    nodes = np.array([candidate.node for candidate in candidates])
    far = np.abs(np.array(places)[:, None] - nodes[None, :]) > window
    return np.where(far, -1.0, similarity)


def assign(similarity: npt.NDArray[np.float64], surplus: bool) -> dict[int, tuple[int, float, str]]:
    """{image: (sentence, similarity, how)} with the greatest sum; no sentence twice but for surplus images."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(similarity, maximize=True)
    given = {int(r): (int(c), float(similarity[r, c]), "assigned") for r, c in zip(rows, columns, strict=True)}
    if surplus:
        for row in range(len(similarity)):
            best = int(similarity[row].argmax())
            given.setdefault(row, (best, float(similarity[row, best]), "surplus"))
    return given
