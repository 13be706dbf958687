"""Texts that spell a control token of the model must stay texts: a page may say `<|im_end|>` or `<image>`."""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import ProcessorMixin

ROUNDS = 8


def control_tokens(processor: "ProcessorMixin", template: str) -> dict[str, int]:
    """Added tokens that mean something to the model: special ones, the processor's own, and those its template writes."""
    named = {value for name, value in vars(processor).items() if name.endswith("_token") and isinstance(value, str)}
    return {
        str(token.content): int(number)
        for number, token in processor.tokenizer.added_tokens_decoder.items()
        if (token.special or token.content in named or token.content in template) and not token.content.isspace()
    }


def _plain(text: str) -> bool:
    """A word or blanks, which a template may hold without meaning the token."""
    return text.isalnum() or text.isspace()


class Neutral:
    """Breaks control tokens inside texts with a space behind their first character, and counts them."""

    def __init__(self, tokens: Collection[str]) -> None:
        longest = sorted(tokens, key=lambda token: (-len(token), token))
        self._pattern = re.compile("|".join(map(re.escape, longest)) if longest else r"(?!)")
        self.count = 0

    def __call__(self, text: str) -> str:
        """The text without control tokens; the very same when it holds none."""
        text, found = self.broken(text)
        self.count += found
        return text

    def broken(self, text: str) -> tuple[str, int]:
        """The text without control tokens, and how many it held; not counted."""
        total = 0
        for _ in range(ROUNDS):  # what is left of one may hold another
            text, found = self._pattern.subn(_broken, text)
            total += found
            if not found:
                break
        return text, total


def _broken(found: "re.Match[str]") -> str:
    return f"{found[0][0]} {found[0][1:]}" if len(found[0]) > 1 else " "
