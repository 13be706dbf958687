"""A stage that puts ready documents where `curate mine` would have put them."""

from curate.engine import PartWriter
from curate.schema import Document, to_table
from curate.settings import Settings


class Write:
    """Puts ready documents into a stage folder."""

    name, version = "mine", "1"
    settings = Settings()

    def setup(self) -> None:
        pass

    def process(self, payload: list[Document], part: PartWriter) -> None:
        part.saw(len(payload))
        part.table(to_table(payload, Document))
