"""Pictures of pages: found, decoded once, judged and stored; each file once for each worker."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from curate.documents.filters import ImageFilter
from curate.documents.places import Place, Unreadable
from curate.documents.references import NoReference, data_uri, names_of, short
from curate.documents.settings import PageSettings
from curate.images import BadImage, verify
from curate.schema import Image
from curate.storage import ImageStore, sha256

REMEMBERED = 50_000  # outcomes, a few hundred bytes each: memory stays flat


@dataclass(frozen=True, slots=True)
class Outcome:
    """A picture that is stored, or the reason why not."""

    image: Image | None
    reason: str = ""
    detail: str = ""
    href: str = ""

    @property
    def why(self) -> str:
        """Reason and detail in one string, as Documents record it."""
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class Assets:
    """The pictures of one place."""

    def __init__(self, place: Place, store: ImageStore, settings: PageSettings, filters: Sequence[ImageFilter]) -> None:
        self.place, self._store, self._settings, self._filters = place, store, settings, filters
        self._known: OrderedDict[str, Outcome] = OrderedDict()

    def find(self, hrefs: Sequence[str], page: str, base: str) -> Outcome:
        """The first usable picture among the addresses, best first; else the first one's failure."""
        first: Outcome | None = None
        for href in hrefs:
            outcome = self._at(href, page, base)
            if outcome.image is not None:
                return Outcome(outcome.image, href=short(href))
            first = first or Outcome(None, outcome.reason, outcome.detail, short(href))
        return first or Outcome(None, "no_address")

    def _at(self, href: str, page: str, base: str) -> Outcome:
        try:
            if href[:5].lower() == "data:":
                data = data_uri(href, self._settings.max_data_uri_bytes)
                return self._remembered(f"data:{sha256(data)}", href, data)
            names = names_of(href, page, base)
        except NoReference as error:
            return Outcome(None, error.reason)
        name = next((name for name in names if self._is_here(name)), None)
        return Outcome(None, "missing") if name is None else self._remembered(f"name:{name}", href, None)

    def _is_here(self, name: str) -> bool:
        return f"name:{name}" in self._known or self.place.has(name)

    def _remembered(self, key: str, href: str, data: bytes | None) -> Outcome:
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        outcome = self._looked_at(key.partition(":")[2] if data is None else "", href, data)
        self._known[key] = outcome
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return outcome

    def _looked_at(self, name: str, href: str, data: bytes | None) -> Outcome:
        try:
            data = self.place.read(name, self._settings.max_image_bytes) if data is None else data
            facts = verify(data, self._settings.max_pixels)
        except Unreadable as error:
            return Outcome(None, error.reason, error.detail if error.reason == "too_large" else "")
        except BadImage as error:
            return Outcome(None, error.reason, error.detail)
        image = Image(f"{sha256(data)}.{facts.extension}", facts.width, facts.height, facts.phash)
        for rule in self._filters:
            drop = rule.judge(image, name or href)
            if drop is not None:
                return Outcome(None, rule.name, drop.detail)
        self._store.put(data, facts.extension)
        return Outcome(image)
