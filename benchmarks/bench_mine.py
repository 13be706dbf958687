"""Pages/s of DOM-to-nodes extraction on one core beside trafilatura and resiliparse, and of whole mining.

All extractors read the same pages, already in memory, in one process and in turns; the best of several rounds
counts, in CPU seconds, so that other work on the machine matters little. Whole mining is timed by the clock.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import sample_or_skip, say_machine, seconds

from curate.documents import mine, settings_of
from curate.documents.html.blocks import joined
from curate.documents.html.pages import read_page
from curate.layout import Run

ROUNDS = 5
SLOW_PAGES = 60  # trafilatura reads only so many in each round


def contenders() -> dict[str, Callable[[bytes], object]]:
    from resiliparse.extract.html2text import extract_plain_text
    from trafilatura import extract

    return {
        "shotcraft, text and image nodes, boilerplate out": lambda page: joined(read_page(page).blocks),
        "shotcraft, boilerplate kept": lambda page: joined(read_page(page, boilerplate=True).blocks),
        "resiliparse, text, main_content=True": lambda page: extract_plain_text(
            page.decode(), main_content=True, alt_texts=True, preserve_formatting=True
        ),
        "resiliparse, text, main_content=False": lambda page: extract_plain_text(
            page.decode(), main_content=False, alt_texts=True, preserve_formatting=True
        ),
        "trafilatura, XML with images and tables": lambda page: extract(
            page.decode(), output_format="xml", include_images=True, include_tables=True
        ),
        "trafilatura, fast, text": lambda page: extract(page.decode(), fast=True),
    }


def extraction(pages: list[bytes]) -> None:
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, work in contenders().items():
            some = pages[:: max(1, len(pages) // SLOW_PAGES)] if name.startswith("trafilatura") else pages
            spent = seconds(lambda work=work, some=some: [work(page) for page in some], time.process_time)
            best[name] = max(best.get(name, 0.0), len(some) / spent)
    ours = next(iter(best.values()))
    size = sum(map(len, pages)) / len(pages) / 1000
    print(f"{len(pages)} pages of gimp-help-en, {size:.1f} kB on average, one core, best of {ROUNDS} rounds")
    for name, rate in best.items():
        print(f"  {name:<50} {rate:>8,.0f} pages/s   shotcraft is {ours / rate:>6.2f}x")


def mining(folder: Path) -> None:
    print("whole mining: read, resolve, decode and hash every picture once, filter, store, write Parquet")
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as out:
            began = time.perf_counter()
            manifest = mine([str(folder)], settings_of("manual"), Run.at(out), "gimp", workers=workers)
            seconds = time.perf_counter() - began
            pictures = sum(1 for _ in (Path(out) / "images").rglob("*.*"))
            rate = manifest.counts["in"] / seconds
            print(f"  {workers} worker(s): {rate:>6,.0f} pages/s, {seconds:.1f} s, {pictures:,} distinct pictures stored")


def main() -> None:
    say_machine("resiliparse", "trafilatura", "selectolax", "pillow")
    folder = sample_or_skip("gimp-help-en")
    pages = [path.read_bytes() for path in sorted(folder.glob("*.html"))]
    extraction(pages)
    mining(folder)


if __name__ == "__main__":
    main()
