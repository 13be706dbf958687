"""Shown rows as text for a terminal or a file, or as a page."""

import html
from collections.abc import Callable, Iterable, Iterator

from train.data.show import Piece, ShownEpisode, ShownRow

Mark = Callable[[str, float], str]
"""How text that is learned is written: (text, weight) -> text."""


def brackets(text: str, weight: float) -> str:
    """Marks learned text where there is no colour: [[text]], and [[text]]x0.5 under a weight."""
    return f"[[{text}]]" + (f"x{weight:g}" if weight != 1 else "")


def as_text(rows: Iterable[ShownRow], mark: Mark = brackets) -> Iterator[str]:
    """Lines, without line ends."""
    for row in rows:
        yield _row_line(row)
        for episode in row.episodes:
            yield f"  {headline(episode)}"
            body = "".join(_piece(piece, mark) for piece in episode.pieces).rstrip("\n")
            yield from (f"    | {line}" for line in body.split("\n")) if body else ()
        if not row.episodes:
            yield "  nothing but padding"


def _row_line(row: ShownRow) -> str:
    return f"row {row.row}: {row.filled:,} of {row.positions:,} positions, {100 * row.padding:.1f} % padding"


def headline(episode: ShownEpisode) -> str:
    """Where an episode lies and comes from, in a line."""
    known = [name for name in (episode.source, episode.format) if name]
    where = [*known, f"{episode.key} in {episode.shard}"]
    if episode.fault:
        return f"skipped: {' · '.join(where)}: {readable(episode.fault)}"
    shots = f"{episode.shots} shot{'s' * (episode.shots != 1)}" + (f" ({episode.dropped} dropped)" if episode.dropped else "")
    counts = f"{episode.tokens:,} tokens, {episode.image_tokens:,} of pictures, {episode.supervised:,} learned"
    place = f"positions {episode.start:,} to {episode.start + episode.tokens - 1:,}"
    return readable(" · ".join([place, *where[:-1], shots, where[-1], counts]))


def readable(text: str) -> str:
    """Text without characters that would steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _piece(piece: Piece, mark: Mark) -> str:
    if piece.image is not None:
        return f"[image {piece.image}: {piece.tokens} tokens]"
    text = readable(piece.text)
    return mark(text, piece.weight) if piece.weight > 0 else text


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid #ccc; padding-left: .8rem; margin: .2rem 0 1em }}
mark {{ background: #bfe8c5 }} h2 {{ font-size: 1.1rem }}
i {{ background: #e3e6ee; font-style: normal; border-radius: 3px; padding: 0 .3em }}
</style><h1>{title}</h1>
"""


def as_page(rows: Iterable[ShownRow], title: str) -> str:
    """A page of its own: learned text on green, pictures on grey."""
    parts = [_PAGE.format(title=html.escape(title))]
    for row in rows:
        parts.append(
            f"<h2>Row {row.row}: {row.filled:,} of {row.positions:,} positions, {100 * row.padding:.1f} % padding</h2>"
        )
        for episode in row.episodes:
            pieces = "".join(_html(piece) for piece in episode.pieces)
            parts.append(f"<p>{html.escape(headline(episode))}</p><pre>{pieces}</pre>")
    return "\n".join(parts) + "\n"


def _html(piece: Piece) -> str:
    if piece.image is not None:
        return f"<i>image {piece.image}: {piece.tokens} tokens</i>"
    text = html.escape(readable(piece.text))
    return f'<mark title="weight {piece.weight:g}">{text}</mark>' if piece.weight > 0 else text
