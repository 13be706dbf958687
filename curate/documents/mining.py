"""`mine`: sources of pages to a stage of Documents."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from curate import engine
from curate.documents.extract import Extract, ExtractSettings, Pages
from curate.documents.filters import FILTERS, ImageFilter
from curate.documents.html.blocks import ImageBlock
from curate.documents.html.encodings import BadPage
from curate.documents.html.pages import read_page
from curate.documents.places import FilePlace, Place, Unreadable, digest, places_of
from curate.documents.references import NoReference, names_of
from curate.documents.refine import Extracted, Refine, RefineSettings
from curate.documents.settings import MineSettings
from curate.engine import Partition, Progress, SourcePart, StageManifest
from curate.errors import ConfigError, InputError
from curate.layout import Run
from curate.sources import locate
from curate.storage import Folder, hash_json, read_table

EXTRACTED = "extracted"
Refusals = list[tuple[str, str, str]]


def mine(
    sources: Sequence[str],
    settings: MineSettings,
    run: Run,
    name: str = "",
    workers: int = 1,
    progress: Progress | None = None,
) -> StageManifest:
    """Interleaved Documents of HTML files, folders and archives, in RUN/documents/NAME, their pictures in RUN/images.

    `name` defaults to the first source's. Pages are read into RUN/extracted/NAME first; changing only the text
    and document filters does not read them again. Raises InputError when a source is missing or holds no page.
    """
    sources = [str(locate(source)) for source in sources]
    name = name or name_of(sources)
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigError(f"--name {name!r} must be letters, digits, '-', '_' and '.'; it becomes a folder of the run")
    refused: Refusals = []
    with places_of(list(sources), settings.archives, lambda *why: refused.append(why)) as places:
        parts = list(partitions(places, refused, settings))
        if not any(part.payload.names for part in parts):
            why = f" ({refused[0][0]}: {refused[0][1]})" if refused else ""
            raise InputError(
                f"no pages in {', '.join(place.label for place in places)}{why}; pages end in .html, .htm or .xhtml"
            )
        stage = Extract(_extract_settings(settings, name), run.images)
        inputs = {place.label: hash_json([p.fingerprint for p in parts if p.payload.place is place]) for place in places}
        extracted = engine.run(stage, parts, run.root / EXTRACTED / name, inputs, workers, progress)
    return _refine(extracted, run, name, settings, workers, progress)


def name_of(sources: Sequence[str]) -> str:
    """The name of a source that was given none: the last step of its path without its suffix."""
    path = Path(sources[0]).resolve()
    stem = path.name if path.is_dir() else path.name.partition(".")[0]
    clean = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in stem).strip(".-")
    return clean or "pages"


def count_pages(sources: Sequence[str], settings: MineSettings) -> dict[str, int]:
    """Pages of each source by its label, without reading them; refused archive members are left aside."""
    with places_of(list(sources), settings.archives, lambda *_: None) as places:
        return {place.label: len(place.pages()) for place in places}


def partitions(places: Sequence[Place], refused: Refusals, settings: MineSettings) -> Iterator[Partition[Pages]]:
    """Pages in parts of `pages_per_part`, place by place.

    A fingerprint covers the bytes of the pages and of every other file of the place: any of them may be shown.
    """
    first = tuple(refused)
    for place in places:
        pages, most = place.pages(), settings.pages.max_image_bytes
        assets = _assets_digest(place, set(pages), most)
        for start in range(0, len(pages), settings.pages_per_part):
            names = tuple(pages[start : start + settings.pages_per_part])
            bytes_of_pages = [[name, digest(place, name, settings.pages.max_page_bytes)] for name in names]
            yield Partition(hash_json([place.label, bytes_of_pages, assets, first]), Pages(place, names, first))
            first = ()
    if first and places:
        yield Partition(hash_json(first), Pages(places[0], (), first))


def _assets_digest(place: Place, pages: set[str], most: int) -> str:
    names = _referenced(place, most) if isinstance(place, FilePlace) else [n for n in place.names() if n not in pages]
    return hash_json([[name, digest(place, name, most)] for name in names])


def _referenced(place: FilePlace, most: int) -> list[str]:
    """Files that a single page refers to: its folder may be anything, so not all of it is looked at."""
    try:
        page = read_page(place.read(place.page, most), boilerplate=True)
    except (BadPage, Unreadable):
        return []
    found: set[str] = set()
    for block in page.blocks:
        for href in block.hrefs if isinstance(block, ImageBlock) else ():
            try:
                found.update(names_of(href, place.page, page.base) if href[:5].lower() != "data:" else ())
            except NoReference:
                continue
    return sorted(found)


def _extract_settings(settings: MineSettings, name: str) -> ExtractSettings:
    image_filters = {key: value for key, value in settings.filters.items() if issubclass(FILTERS.get(key), ImageFilter)}
    return ExtractSettings(source=name, licence=settings.licence, pages=settings.pages, image_filters=dict(image_filters))


def _refine(
    extracted: StageManifest, run: Run, name: str, settings: MineSettings, workers: int, progress: Progress | None
) -> StageManifest:
    folder = run.root / EXTRACTED / name
    others = {key: value for key, value in settings.filters.items() if not issubclass(FILTERS.get(key), ImageFilter)}
    stage = Refine(RefineSettings(filters=dict(others), detect_language=settings.detect_language))
    uses = image_uses(folder, extracted)
    parts = []
    for part in extracted.tables():
        here = {ref: uses[ref] for ref in sorted(_refs_of(folder, part)) if ref in uses}
        rejected = extracted.files.get(f"rejected/{part.partition('.')[0]}.jsonl", "")
        fingerprint = hash_json([extracted.files[part], rejected, here])
        parts.append(Partition(fingerprint, Extracted(SourcePart(folder, part), here)))
    return engine.run(stage, parts, run.root / "documents" / name, {EXTRACTED: extracted.digest}, workers, progress)


def image_uses(folder: Folder, extracted: StageManifest) -> dict[str, int]:
    """Ref -> documents that show the picture, exactly, for pictures that more than one document shows."""
    uses = Counter[str]()
    for part in extracted.tables():
        uses.update(_refs_of(folder, part))
    return {ref: count for ref, count in uses.items() if count > 1}


def _refs_of(folder: Folder, part: str) -> Counter[str]:
    """Ref -> documents of one part that show it. Reads one column and builds no records."""
    import pyarrow.compute as pc

    nodes = read_table(folder, part).column("nodes").combine_chunks()
    refs = pc.struct_field(pc.list_flatten(nodes), ["image", "ref"]).to_pylist()
    documents = pc.list_parent_indices(nodes).to_pylist()
    return Counter(ref for _, ref in {(d, r) for d, r in zip(documents, refs, strict=True) if r is not None})
