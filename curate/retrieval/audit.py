"""How much of the truth an approximate index finds."""

import numpy as np

from curate.retrieval.exact import Ints


def recall_at_k(found: Ints, truth: Ints, k: int) -> float:
    """Share of the true k nearest rows [B, >= k] that are among the first k found [B, >= k]; 1 when there is none.

    Places padded with -1 are no neighbours: they count on neither side.
    """
    assert found.shape[0] == truth.shape[0], "one line a query on both sides"
    meant = truth[:, :k]
    hits = (meant[:, :, None] == found[:, None, :k]).any(axis=2) & (meant >= 0)
    wanted = int(np.count_nonzero(meant >= 0))
    return int(np.count_nonzero(hits)) / wanted if wanted else 1.0
