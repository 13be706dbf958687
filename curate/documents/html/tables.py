"""Tables of data to text, one line a row; tables that only lay out the page are none."""

from typing import Any

LAYOUT = "img,picture,table table,ul,ol,dl,pre,h1,h2,h3,h4,h5,h6,figure,blockquote,form,iframe"
LONGEST_CELL = 400


def data_table(table: Any) -> str | None:
    """The table's rows as ` | `-joined cells; None when it is layout and its cells are to be read as blocks.

    Data has at least two rows and two columns, and cells that hold one short piece of text each.
    """
    if any(node.mem_id != table.mem_id for node in table.css(LAYOUT)):
        return None
    rows = [[_cell(cell) for cell in row.css("td,th")] for row in table.css("tr")]
    rows = [row for row in rows if any(row)]
    if len(rows) < 2 or max(map(len, rows)) < 2 or any(len(cell) > LONGEST_CELL for row in rows for cell in row):
        return None
    if any(len(cell.css("p")) > 1 for cell in table.css("td")):
        return None
    title = table.css_first("caption")
    lines = [" | ".join(row) for row in rows]
    return "\n".join(([_cell(title)] if title is not None else []) + lines).strip("\n")


def _cell(cell: Any) -> str:
    return " ".join(cell.text(separator=" " if cell.css_first("br,p,div") is not None else "").split())
