"""The first stage of mining: pages to Documents with verified pictures, before any judgement of the text."""

from collections.abc import Iterable
from dataclasses import dataclass

from curate.documents.assets import Assets
from curate.documents.filters import ImageFilter
from curate.documents.filters.base import made
from curate.documents.html.blocks import Block, ImageBlock, TextBlock, joined
from curate.documents.html.encodings import BadPage
from curate.documents.html.pages import read_page
from curate.documents.places import Place, Unreadable
from curate.documents.settings import PageSettings
from curate.engine import PartWriter, lineage_of
from curate.schema import Document, LeftOut, Node, Provenance, to_table
from curate.settings import Settings
from curate.storage import ImageStore, hash_json


class ExtractSettings(Settings):
    """What shapes the outcome of extraction: a part of MineSettings."""

    source: str
    licence: str
    pages: PageSettings
    image_filters: dict[str, dict[str, object]]


@dataclass(frozen=True)
class Pages:
    """One partition: pages of one place, and what was refused of archives (with the very first partition)."""

    place: Place
    names: tuple[str, ...]
    refused: tuple[tuple[str, str, str], ...] = ()


class Extract:
    """Reads pages, finds and verifies their pictures, stores those that pass the image filters."""

    name, version = "extract", "1"

    def __init__(self, settings: ExtractSettings, store: ImageStore) -> None:
        self.settings: ExtractSettings = settings
        self._store = store
        self._assets: dict[str, Assets] = {}

    def setup(self) -> None:
        """Makes the filters; every worker remembers the pictures it has seen."""
        self._assets = {}
        self._filters = made(ImageFilter, self.settings.image_filters)

    def process(self, payload: Pages, part: PartWriter) -> None:
        """Pages of one place to Documents."""
        for record, reason, detail in payload.refused:
            part.saw()
            part.reject(record, reason, detail)
        label = payload.place.label
        if label not in self._assets:
            self._assets[label] = Assets(payload.place, self._store, self.settings.pages, self._filters)
        reader = _Reader(self, self._assets[label], part)
        documents = [document for name in payload.names if (document := reader.document(name)) is not None]
        part.table(to_table(documents, Document))


class _Reader:
    """Reads the pages of one partition."""

    def __init__(self, stage: Extract, assets: Assets, part: PartWriter) -> None:
        self._assets, self._part = assets, part
        self._place = assets.place  # and not the partition's own copy: a worker opens an archive once
        self._settings = stage.settings
        self._lineage = lineage_of(stage)

    def document(self, name: str) -> Document | None:
        """The Document of a page; None when it is rejected."""
        at = self._settings.pages
        self._part.saw()
        try:
            page = read_page(self._place.read(name, at.max_page_bytes), at.boilerplate, at.max_page_bytes, count_pictures=True)
        except (BadPage, Unreadable) as error:
            reason = "page_too_large" if error.reason == "too_large" else error.reason
            self._part.reject(f"{self._place.label}/{name}", reason, error.detail)
            return None
        nodes, left_out = self._nodes(page.blocks, name, page.base)
        self._count(page.pictures, page.blocks, nodes, left_out)
        return Document(
            id=hash_json([self._settings.source, self._place.label, name])[:24],
            source=self._settings.source,
            title=page.title[:1000],
            licence=self._settings.licence,
            language=page.language if page.language.isalpha() else "",
            nodes=tuple(nodes),
            left_out=tuple(left_out),
            provenance=Provenance(self._place.label, name, (self._lineage,)),
        )

    def _nodes(self, blocks: list[Block], name: str, base: str) -> tuple[list[Node], list[LeftOut]]:
        left_out: list[LeftOut] = []
        kept: list[Block] = []
        found: dict[int, Node] = {}
        pictures = 0
        for block in blocks:
            if isinstance(block, ImageBlock):
                pictures += 1
                many = pictures > self._settings.pages.max_images_per_page
                if many or (node := self._picture(block, name, base, left_out)) is None:
                    left_out += [LeftOut("", "too_many_images")] if many else []
                    continue
                found[id(block)] = node
            kept.append(block)
        return [found[id(b)] if isinstance(b, ImageBlock) else Node("text", text=b.text) for b in joined(kept)], left_out

    def _picture(self, block: ImageBlock, name: str, base: str, left_out: list[LeftOut]) -> Node | None:
        outcome = self._assets.find(block.hrefs, name, base)
        if outcome.image is None:
            left_out.append(LeftOut(outcome.href, outcome.why))
            return None
        return Node("image", image=outcome.image, href=outcome.href, alt=block.alt, caption=block.caption)

    def _count(self, pictures: int, blocks: list[Block], nodes: list[Node], left_out: Iterable[LeftOut]) -> None:
        shown = sum(isinstance(block, ImageBlock) for block in blocks)
        self._part.tally("images", "in the pages", pictures)
        self._part.tally("images", "furniture", max(0, pictures - shown))
        self._part.tally("images", "kept", sum(node.kind == "image" for node in nodes))
        self._part.tally("text blocks", "in the pages", len({b.paragraph for b in blocks if isinstance(b, TextBlock)}))
        self._part.tally("text blocks", "nodes made of them", sum(node.kind == "text" for node in nodes))
        for left in left_out:
            self._part.tally("images left out", left.reason.partition(":")[0])
