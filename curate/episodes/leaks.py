"""Episodes that show what they ask for, and episodes that say the same twice."""

from collections import Counter
from collections.abc import Sequence

from curate.episodes.selectors import SELECTORS
from curate.episodes.settings import LintSettings
from curate.schema import Episode, Image, Shot


class Leaks:
    """Counts leaking and repeating episodes while they pass."""

    def __init__(self, perceptual_bits: int | None) -> None:
        self._bits = perceptual_bits
        self._seen: set[int] = set()
        self._ids: set[str] = set()
        self.leaks = Counter(dict.fromkeys(("same_record", "same_image", "same_document"), 0))
        self.asked = Counter(dict.fromkeys(("same_document",), 0))
        self.duplicates = Counter(dict.fromkeys(("episodes", "ids", "images_in_an_episode"), 0))

    def add(self, episode: Episode) -> None:
        """Takes in one episode."""
        query, shots = episode.query, episode.demonstrations
        self.leaks["same_record"] += any(shot.demonstration_id == query.demonstration_id for shot in shots)
        documents = self.asked if _stays_within(episode.selector) else self.leaks
        documents["same_document"] += any(shot.document_id == query.document_id != "" for shot in shots)
        self.leaks["same_image"] += any(self._alike(shot.images, query.images) for shot in shots)
        self.duplicates["images_in_an_episode"] += self._repeats(shots)
        signature = hash(_signature(episode))
        self.duplicates["episodes"] += signature in self._seen
        self.duplicates["ids"] += episode.id in self._ids
        self._seen.add(signature)
        self._ids.add(episode.id)

    def failures(self, settings: LintSettings) -> list[str]:
        """What is over the limits, one line each."""
        lines = [
            f"{count} episodes show their query's {what.removeprefix('same_')} among the demonstrations"
            for what, count in self.leaks.items()
            if count > settings.max_leaks
        ]
        words = {"episodes": "repeat an earlier one", "ids": "share an id", "images_in_an_episode": "show an image twice"}
        counted = ((count, words[what]) for what, count in self.duplicates.items())
        return lines + [f"{count} episodes {said}" for count, said in counted if count > settings.max_duplicates]

    def _repeats(self, shots: Sequence[Shot]) -> bool:
        return any(self._alike(shot.images, other.images) for at, shot in enumerate(shots) for other in shots[:at])

    def _alike(self, some: Sequence[Image], others: Sequence[Image]) -> bool:
        """Whether any two images have the same bytes or nearly the same perceptual hash."""
        for one in some:
            for other in others:
                if one.ref == other.ref:
                    return True
                if self._bits is not None and _distance(one, other) <= self._bits:
                    return True
        return False


def _stays_within(selector: str) -> bool:
    """Whether a selector takes demonstrations from the query's document by design; other tools' selectors do not."""
    return selector in SELECTORS and SELECTORS.get(selector).within_document


def _distance(one: Image, other: Image) -> int:
    """Perceptual-hash bits between two images; all of them where a hash cannot be read."""
    try:
        return (int(one.phash, 16) ^ int(other.phash, 16)).bit_count()
    except ValueError:
        return 64


def _signature(episode: Episode) -> tuple[object, ...]:
    """Equal for episodes that ask the same of the same demonstrations, whatever their order."""
    shots = tuple(sorted(shot.demonstration_id for shot in episode.demonstrations))
    options = tuple(sorted(episode.query.options))
    return (episode.format, options, episode.query.demonstration_id, shots)
