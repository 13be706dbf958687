"""A picture that many documents of a source show belongs to the site and not to any of them."""

from pydantic import Field

from curate.documents.filters.base import FILTERS, Drop, ReuseFilter
from curate.settings import Settings


@FILTERS.register("image_reuse")
class ImageReuse(ReuseFilter):
    """Counts, over the whole source and by content, the documents that show a picture."""

    class Thresholds(Settings):
        """Documents."""

        max: int = Field(10, ge=1)

    def judge(self, documents: int) -> Drop | None:
        """Drops what more than `max` documents show."""
        return None if documents <= self.at.max else Drop(f"{documents} documents")
