"""Names, shares and sizes as people read them, and texts of any length cut to one that a page can hold."""

LONGEST_TEXT = 4000
"""Characters of a question or an answer."""

LONGEST_NAME = 200
"""Characters of a concept, a reason or another name outside the gallery."""


def short(text: str, limit: int = LONGEST_TEXT) -> str:
    """A text cut to `limit` characters, with a remark of how many are left out."""
    left_out = len(text) - limit
    return f"{text[:limit]} … ({left_out:,} more characters)" if left_out > 0 else text


def words(name: str) -> str:
    """A stable name as a person reads it: multiple_choice -> multiple choice."""
    return short(name.replace("_", " "), LONGEST_NAME)


def share(count: int, of: int) -> str:
    """A share for people: 12 %, 0.3 %, < 0.1 %."""
    percent = 100 * count / of if of else 0.0
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"


def megabytes(size: int) -> str:
    """Bytes for people: 12.3 MB, 45.0 kB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"
