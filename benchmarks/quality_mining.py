"""Precision and recall of mining on 20 hand-checked pages of gimp-help-en.

The truth (tests/data/gimp_help_20_pages.json) lists, page by page in reading order, every text block by its first four
words and its number of words, and every content picture with its captions. It was drafted with lxml and corrected by
reading the pages: navigation and tables of contents are furniture, icons of up to 48 px (admonitions, tool buttons)
are no content pictures, a sentence that an icon interrupts is one block, and captions belong to their pictures.

An item counts as found when it stands in the output in its right place: items are aligned by the longest common
subsequence of the whole page, so that wrong order costs. List items and table rows are items of their own.
"""

import json
import re
import sys
import tempfile
from difflib import SequenceMatcher
from pathlib import Path

from common import sample_or_skip

from curate.documents import mine, settings_of
from curate.layout import Run
from curate.schema import Document

HERE = Path(__file__).parent
TRUTH = HERE.parent / "tests/data/gimp_help_20_pages.json"
Item = tuple[str, str, int]


MARK = re.compile(r"^(?:- |\d+\. )")  # of a list item, and as well the number of a heading: dropped on both sides


def key(text: str) -> tuple[str, int]:
    words = MARK.sub("", text).split()
    return " ".join(words[:3]), len(words)


def truth_items(rows: list[dict]) -> list[Item]:
    items: list[Item] = []
    for row in rows:
        if "image" in row:
            items.append(("image", row["image"], 0))
        else:
            start = MARK.sub("", row["text"]).split()
            items.append(("text", " ".join(start[:3]), row["words"] - (len(row["text"].split()) - len(start))))
    return items


def found_items(document: Document) -> list[Item]:
    items: list[Item] = []
    for node in document.nodes:
        if node.kind == "image":
            items.append(("image", node.href, 0))
            continue
        for line in node.text.split("\n"):
            items.append(("text", *key(line)))
    return items


def matched(truth: list[Item], found: list[Item]) -> list[tuple[int, int]]:
    pairs = []
    for block in SequenceMatcher(None, truth, found, autojunk=False).get_matching_blocks():
        pairs += [(block.a + i, block.b + i) for i in range(block.size)]
    return pairs


def caption_hits(rows: list[dict], document: Document) -> tuple[int, int, int]:
    """(right, expected, given) captions: every part of the expected caption stands in the one given, in order."""
    expected = {row["image"]: row["caption"] for row in rows if "image" in row}
    given = {node.href: node.caption for node in document.nodes if node.kind == "image"}
    right = 0
    for href, parts in expected.items():
        caption = given.get(href, "")
        starts = [caption.find(start) for start, _ in parts]
        whole = caption and sum(n for _, n in parts) == len(caption.split())
        right += bool(parts and whole and -1 not in starts and starts == sorted(starts))
    return right, sum(bool(p) for p in expected.values()), sum(bool(c) for h, c in given.items() if h in expected)


def main() -> None:
    pages = sample_or_skip("gimp-help-en")
    verbose = "-v" in sys.argv
    truth = json.loads(TRUTH.read_text(encoding="utf-8"))["pages"]
    print(f"{'settings':<34} {'':<7} {'truth':>6} {'found':>6} {'right':>6} {'precision':>9} {'recall':>7}")
    for name, preset, overrides in (
        ("none", "none", []),
        ("none, image_side.min=64", "none", ["filters.image_side.min=64"]),
        ("manual", "manual", ["filters.document_images=null", "filters.document_words=null"]),
        ("obelics (nodes)", "obelics", [f"filters.{f}=null" for f in settings_of("obelics").filters if f.startswith("doc")]),
    ):
        with tempfile.TemporaryDirectory() as out:
            run = Run.at(out)
            mine([str(pages / page) for page in truth], settings_of(preset, overrides=overrides), run, "checked", workers=2)
            score(name, truth, {d.provenance.record: d for d in run.documents()}, verbose)
    whole_corpus(pages)


def whole_corpus(pages: Path) -> None:
    """All 685 pages: the pictures outside the navigation bars, as lxml sees them, against the Documents."""
    from lxml import html
    from PIL import Image

    sizes: dict[str, tuple[int, int]] = {}
    references = navigation = content = in_order = with_caption = captioned = leaked = 0
    with tempfile.TemporaryDirectory() as out:
        mine([str(pages)], settings_of("none"), Run.at(out), "all", workers=2)
        documents = {d.provenance.record: d for d in Run.at(out).documents()}
    for path in sorted(pages.glob("*.html")):
        body = html.fromstring(path.read_bytes()).find("body")
        references += len(body.findall(".//img"))
        for bar in body.xpath('.//div[@class="navheader" or @class="navfooter"]'):
            navigation += len(bar.findall(".//img"))
            bar.drop_tree()
        wanted = [img.get("src") for img in body.findall(".//img")]
        for src in wanted:
            sizes.setdefault(src, Image.open(pages / src).size)
        nodes = [n for n in (documents[path.name].nodes if path.name in documents else ()) if n.kind == "image"]
        given = [n.href for n in nodes]
        leaked += sum(Path(href).stem in ("prev", "next", "home", "up") for href in given)
        large = [src for src in wanted if min(sizes[src]) >= 100]
        pairs = matched([("image", s, 0) for s in wanted], [("image", s, 0) for s in given])
        content += len(large)
        in_order += sum(min(sizes[wanted[a]]) >= 100 for a, _ in pairs)
        labelled = {img.get("src") for img in body.xpath('.//div[@class="figure"]//img | .//img[../div[@class="caption"]]')}
        captioned += sum(src in labelled for src in large)
        with_caption += sum(bool(n.caption) for n in nodes if n.href in labelled and min(sizes[n.href]) >= 100)
    print(f"whole corpus: {references} image references, {navigation} in navigation bars, {leaked} of them in the Documents")
    print(f"pictures of >= 100 px (both sides): {content}, in their place in the Documents: {in_order}")
    print(f"of these with a title or caption in the page: {captioned}, with it in the Documents: {with_caption}")


def score(name: str, truth: dict[str, list[dict]], documents: dict[str, Document], verbose: bool) -> None:
    totals = {kind: [0, 0, 0] for kind in ("image", "text", "caption")}
    for page, rows in truth.items():
        document = documents.get(page)
        wanted, found = truth_items(rows), found_items(document) if document else []
        pairs = matched(wanted, found)
        for kind in ("image", "text"):
            totals[kind][0] += sum(item[0] == kind for item in wanted)
            totals[kind][1] += sum(item[0] == kind for item in found)
            totals[kind][2] += sum(wanted[a][0] == kind for a, _ in pairs)
        if document:
            right, expected, given = caption_hits(rows, document)
            totals["caption"] = [a + b for a, b in zip(totals["caption"], (expected, given, right), strict=True)]
        if verbose:
            lost = [wanted[i] for i in range(len(wanted)) if i not in {a for a, _ in pairs}]
            extra = [found[i] for i in range(len(found)) if i not in {b for _, b in pairs}]
            if lost or extra:
                print("   ", page, "LOST", lost, "EXTRA", extra)
    for kind, (wanted_n, found_n, right_n) in totals.items():
        precision, recall = right_n / max(1, found_n), right_n / max(1, wanted_n)
        print(f"{name:<34} {kind:<7} {wanted_n:>6} {found_n:>6} {right_n:>6} {precision:>9.3f} {recall:>7.3f}")


if __name__ == "__main__":
    main()
