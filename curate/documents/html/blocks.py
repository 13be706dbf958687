"""What a walk over a page leaves: text blocks and pictures in reading order, and the halves of paragraphs joined again."""

from dataclasses import dataclass


@dataclass(slots=True)
class TextBlock:
    """A paragraph, heading, list item, cell or table."""

    text: str
    paragraph: int  # pieces of one paragraph share it
    group: int = 0  # items of one list share it, 0 for none


@dataclass(slots=True)
class ImageBlock:
    """A picture with every address it is offered under, best first."""

    hrefs: tuple[str, ...]
    alt: str
    caption: str = ""
    waits: bool = False  # its address is a placeholder that a <noscript> may replace


Block = TextBlock | ImageBlock


def joined(blocks: list[Block]) -> list[Block]:
    """Blocks with the halves of each paragraph joined by a space, and neighbouring items of a list by a line break."""
    whole: list[Block] = []
    parts: list[str] = []
    last: TextBlock | None = None
    for block in blocks:
        if type(block) is TextBlock:
            if last is not None and (glue := _glue(last, block)):
                parts += (glue, block.text)
                last = block
                continue
            _close(whole, parts, last)
            last, parts = block, [block.text]
        else:
            _close(whole, parts, last)
            last, parts = None, []
            whole.append(block)
    _close(whole, parts, last)
    return whole


def _glue(last: TextBlock, block: TextBlock) -> str:
    if block.paragraph == last.paragraph:
        return " "
    return "\n" if block.group and block.group == last.group else ""


def _close(whole: list[Block], parts: list[str], last: TextBlock | None) -> None:
    if last is not None:
        whole.append(last if len(parts) == 1 else TextBlock("".join(parts), last.paragraph, last.group))
