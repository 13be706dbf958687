"""From Documents to Demonstrations: every image gets the words that belong to it.

A caption wins, then a telling alt text. The images left over share the document's sentences by linear sum
assignment on image-text similarity, as MMC4 does (arXiv 2304.06939, section 3); an image for which no sentence
is left takes the one most like it; what stays below the floor is dropped. Similarities are rounded before the
assignment, so that workers and batches change nothing.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from curate import images
from curate.demonstrations.assigning import assign, within_window
from curate.demonstrations.importing import free_folder
from curate.demonstrations.sentences import Sentence, concept, context_around, heading_before, sentences_of, word_count
from curate.engine import PartWriter, Progress, SourcePart, StageManifest, lineage_of, partitions_of, run
from curate.errors import InputError
from curate.images import BadImage
from curate.layout import Run
from curate.schema import Demonstration, Document, Image, Node, Provenance, from_table, to_table
from curate.settings import Settings
from curate.storage import Folder, ImageStore, hash_json

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Vectors = npt.NDArray[np.float32]  # [B, D], unit length
TOGETHER_PIXELS = 64_000_000
"""Pixels of one document that are decoded at a time: about 200 MB of RGB."""


class ImageTextScorer(Protocol):
    """Pictures and texts as unit vectors of one space. Must pickle; loads its model in `setup`."""

    @property
    def fingerprint(self) -> str:
        """Equal fingerprints, equal vectors; known before `setup`."""

    def setup(self) -> None:
        """Called once in every worker."""

    def vectors_of_images(self, pictures: "list[Picture]") -> Vectors:
        """RGB pictures as [B, D]."""

    def vectors_of_texts(self, texts: list[str]) -> Vectors:
        """Texts as [B, D]."""


class AlignSettings(Settings):
    """How images get their words."""

    floor: float = Field(0.2, ge=-1, le=1)
    """Least cosine similarity of an assigned sentence. It belongs to the encoder: about 0.24 for CLIP."""
    captions: bool = True
    """Whether a caption wins over the assignment."""
    alts: bool = True
    """Whether an alt text wins over the assignment."""
    caption_min_words: int = Field(3, ge=1)
    """A shorter caption is not used."""
    alt_min_words: int = Field(4, ge=1)
    """A shorter alt text is not used: it tends to name the file or its function."""
    max_words: int = Field(80, ge=1)
    """A longer caption, alt text or sentence is not used."""
    sentence_min_words: int = Field(5, ge=1)
    """A shorter sentence is no candidate."""
    max_sentences: int = Field(512, ge=1)
    """Candidates of one document, the first ones in reading order that are in reach."""
    window: int = Field(8, ge=0)
    """Nodes between an image and its sentence at most; 0 for the whole document. Only sentences in reach are encoded."""
    surplus: bool = True
    """Whether images left without a sentence take the one most like them."""
    context_words: int = Field(60, ge=0)
    """Words kept before and after the image as context, the answer itself taken out."""
    placeholders: tuple[str, ...] = (
        "image", "picture", "photo", "photograph", "figure", "screenshot", "screen shot", "icon", "logo", "thumbnail",
        "img", "graphic", "illustration", "diagram", "alt text", "placeholder", "loading", "untitled", "no description",
    )  # fmt: skip
    """Captions and alt texts that say nothing, also with a number behind them."""
    generic_headings: tuple[str, ...] = (
        "overview", "introduction", "example", "examples", "options", "description", "summary", "details", "usage",
        "background", "conclusion", "contents", "notes", "note", "tip", "warning", "see also", "related", "results",
        "steps", "general", "parameters", "properties", "activating the tool", "activate the dialog", "activating the dialog",
    )  # fmt: skip
    """Headings that name a part of any page and no concept; the title stands for them."""
    encoder: str = ""
    """Fingerprint of the scorer, filled in by `align`; "" without one."""


class Words(NamedTuple):
    """What an image is given, and how it came by it."""

    text: str
    how: str  # caption, alt, assigned, surplus
    similarity: float | None = None


def align(
    settings: AlignSettings,
    run_: Run,
    scorer: ImageTextScorer | None = None,
    sources: Sequence[str] = (),
    workers: int = 1,
    progress: Progress | None = None,
) -> list[StageManifest]:
    """Aligns RUN/documents/* into RUN/demonstrations/* and returns a manifest for each source.

    Without a scorer only captions and alt texts are used. `sources` limits it to some sources.
    """
    folders = {folder.uri.rpartition("/")[2]: folder for folder in run_.required("documents")}
    missing = [name for name in sources if name not in folders]
    if missing:
        raise InputError(f"there are no documents called {', '.join(missing)}; there are: {', '.join(folders)}")
    chosen = [name for name in folders if not sources or name in sources]
    return [align_source(settings, run_, folders[name], scorer, workers, progress) for name in chosen]


def align_source(
    settings: AlignSettings,
    run_: Run,
    documents: Folder,
    scorer: ImageTextScorer | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> StageManifest:
    """Aligns one folder of Documents into RUN/demonstrations under the same name."""
    settings = settings.model_copy(update={"encoder": scorer.fingerprint if scorer else ""})
    out = free_folder(run_, documents.uri.rpartition("/")[2], Align.name)
    inputs = {"documents": StageManifest.load(documents).digest}
    return run(Align(settings, run_.images, scorer), partitions_of(documents), out, inputs, workers, progress)


class Align:
    """Turns Documents into captioned Demonstrations, one for each image that has words."""

    name, version = "align", "1"

    def __init__(self, settings: AlignSettings, store: ImageStore, scorer: ImageTextScorer | None) -> None:
        self.settings: Settings = settings
        self._set, self._store, self._scorer = settings, store, scorer
        self._lineage = lineage_of(self)
        self._vectors: dict[str, Vectors] = {}  # of the sentences of the part at work

    def setup(self) -> None:
        """Loads the scorer's model."""
        if self._scorer:
            self._scorer.setup()

    def process(self, payload: SourcePart, part: PartWriter) -> None:
        """Makes a part, and beside it `how.jsonl`: the way and the similarity by which each image got its words."""
        made: list[Demonstration] = []
        how: list[dict[str, object]] = []
        documents = from_table(payload.table(), Document)
        self._vectors = self._of_sentences(documents)
        for document in documents:
            self._document(document, part, made, how)
        part.table(to_table(made, Demonstration))
        part.file("how.jsonl", "".join(json.dumps(line, sort_keys=True) + "\n" for line in how).encode())

    def _of_sentences(self, documents: list[Document]) -> dict[str, Vectors]:
        """{sentence: [D]} of all candidates of a part: full batches are several times faster than a few for each page."""
        places = [(document, silent_places(document, self._set)) for document in documents]
        texts = sorted({candidate.text for document, silent in places for candidate in self._candidates(document, silent)})
        return dict(zip(texts, self._scorer.vectors_of_texts(texts), strict=True)) if self._scorer and texts else {}

    def _document(self, document: Document, part: PartWriter, made: list[Demonstration], how: list[dict[str, object]]) -> None:
        places = [index for index, node in enumerate(document.nodes) if node.kind == "image" and node.image]
        part.saw(len(places))
        words = {place: found for place in places if (found := told(document.nodes[place], self._set))}
        words |= self._assigned(document, silent_places(document, self._set), part)
        given: set[tuple[str, str]] = set()
        for place, found in sorted(words.items()):
            image = document.nodes[place].image
            assert image is not None
            if (image.ref, found.text) in given:
                part.drop(f"{document.provenance.record}#{place}", "repeated")
                continue
            given.add((image.ref, found.text))
            made.append(self._demonstration(document, place, image, found))
            how.append({"id": made[-1].id, "how": found.how, "similarity": found.similarity})

    def _assigned(self, document: Document, places: list[int], part: PartWriter) -> dict[int, Words]:
        """Words for images that tell nothing themselves; the others are dropped or rejected here."""

        def drop(place: int, reason: str, detail: str = "") -> None:
            part.drop(f"{document.provenance.record}#{place}", reason, detail)

        s = self._set
        candidates = self._candidates(document, places)
        if not self._scorer or not candidates:
            for place in places:
                drop(place, "no_text" if self._scorer else "no_caption")
            return {}
        seen = self._of_pictures(document, places, part)
        if not seen:
            return {}
        similarity = self._similarity(list(seen.values()), [candidate.text for candidate in candidates])
        given = assign(within_window(similarity, list(seen), candidates, s.window), s.surplus)
        return self._above_floor(list(seen), candidates, given, drop)

    def _candidates(self, document: Document, places: list[int]) -> list[Sentence]:
        """The sentences within reach of any of the places."""
        s = self._set
        found = sentences_of(document, s.sentence_min_words, s.max_words) if places and self._scorer else []
        reach = {node for place in places for node in range(place - s.window, place + s.window + 1)}
        return [one for one in found if not s.window or one.node in reach][: s.max_sentences]

    def _above_floor(
        self,
        places: list[int],
        candidates: list[Sentence],
        given: "dict[int, tuple[int, float, str]]",
        drop: "Callable[[int, str, str], None]",
    ) -> dict[int, Words]:
        words: dict[int, Words] = {}
        for row, place in enumerate(places):
            if row not in given:
                drop(place, "no_sentence_left", "")
                continue
            column, similarity, how = given[row]
            if similarity < self._set.floor:
                drop(place, "below_floor", f"{similarity:.4f}")
                continue
            words[place] = Words(candidates[column].text, how, similarity)
        return words

    def _of_pictures(self, document: Document, places: list[int], part: PartWriter) -> "dict[int, npt.NDArray[np.float32]]":
        """{place: [D]}, a group of pictures at a time: a page of photographs does not fit memory, its vectors do."""
        assert self._scorer is not None
        vectors: dict[int, npt.NDArray[np.float32]] = {}
        for group in groups_of(document, places):
            if pictures := self._pictures(document, group, part):
                vectors.update(zip(pictures, self._scorer.vectors_of_images(list(pictures.values())), strict=True))
        return vectors

    def _pictures(self, document: Document, places: list[int], part: PartWriter) -> "dict[int, Picture]":
        pictures = {}
        for place in places:
            image = document.nodes[place].image
            assert image is not None
            try:
                pictures[place] = images.open_rgb(self._store.get(image.ref))
            except (BadImage, InputError) as fault:
                reason = fault.reason if isinstance(fault, BadImage) else "missing_image"
                part.reject(f"{document.provenance.record}#{place}", reason, image.ref)
        return pictures

    def _similarity(self, pictures: "list[npt.NDArray[np.float32]]", texts: list[str]) -> npt.NDArray[np.float64]:
        """Cosine similarity [images, texts], rounded so that the last bits of a matrix product decide nothing."""
        left, right = np.stack(pictures), np.stack([self._vectors[text] for text in texts])
        return np.round(left.astype(np.float64) @ right.astype(np.float64).T, 4)

    def _demonstration(self, document: Document, place: int, image: Image, words: Words) -> Demonstration:
        record = f"{document.provenance.record}#{place}"
        heading = concept(heading_before(document, place))
        topics = ("" if heading.lower() in self._set.generic_headings else heading, concept(document.title))
        return Demonstration(
            id=hash_json([document.source, document.id, record])[:32],
            images=(image,),
            question="",
            answer=words.text,
            task="caption",
            concepts=tuple(dict.fromkeys(topic for topic in topics if topic)),
            format="caption",
            document_id=document.id,
            context=context_around(document, place, self._set.context_words, words.text),
            source=document.source,
            licence=document.licence,
            provenance=Provenance(document.provenance.source, record, (*document.provenance.lineage, self._lineage)),
        )


def groups_of(document: Document, places: Sequence[int]) -> Iterator[list[int]]:
    """Places of images in order, in groups of at most TOGETHER_PIXELS, or of one image."""
    group: list[int] = []
    pixels = 0
    for place in places:
        image = document.nodes[place].image
        more = image.width * image.height if image else 0
        if group and pixels + more > TOGETHER_PIXELS:
            yield group
            group, pixels = [], 0
        group.append(place)
        pixels += more
    if group:
        yield group


def silent_places(document: Document, settings: AlignSettings) -> list[int]:
    """Indexes of the stored images of a document that tell nothing themselves."""
    nodes = enumerate(document.nodes)
    return [index for index, node in nodes if node.kind == "image" and node.image and not told(node, settings)]


def told(node: Node, settings: AlignSettings) -> Words | None:
    """The caption of an image node, else its alt text, where they say something."""
    if settings.captions and (text := telling(node.caption, settings.caption_min_words, node.href, settings)):
        return Words(text, "caption")
    if settings.alts and (text := telling(node.alt, settings.alt_min_words, node.href, settings)):
        return Words(text, "alt")
    return None


_LABEL = re.compile(r"^(?:fig(?:ure)?|abb(?:ildung)?|image|photo|table)\.?\s*\d[\d.\-–]*\s*[.:)–-]?\s+", re.IGNORECASE)
_FILE = re.compile(r"^\S+\.(?:png|jpe?g|gif|svg|webp|bmp|tiff?|avif)$", re.IGNORECASE)


def telling(text: str, fewest: int, href: str, settings: AlignSettings) -> str:
    """A caption or alt text without its 'Figure 3.', or "" when it is too short, too long, a file name or a placeholder."""
    text = _LABEL.sub("", " ".join(text.split()))
    plain = re.sub(r"[\s\d#_\-.:]+$", "", text.lower())
    stem = PurePosixPath(href.partition("?")[0]).stem.lower()
    empty = plain in settings.placeholders or _FILE.match(text) or text.lower() == stem
    return text if not empty and fewest <= word_count(text) <= settings.max_words else ""
