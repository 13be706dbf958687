"""What all pages share: templates, the style sheet, and a policy under which a page loads nothing from anywhere.

base.html is the page around the sections, figures.html the plot with its legend and its numbers as a table.
"""

import base64
import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from curate import __version__
from curate.errors import InputError
from curate.report.wording import words
from curate.storage import Folder

HERE = Path(__file__).parent
PAGE = "report.html"


def page(name: str, context: dict[str, Any], script: Markup | None = None, folder: Path = HERE) -> bytes:
    """The page of a template of this package, or of another folder that extends the ones here. `script`, if any, is the only
    one that a browser will run in it."""
    style = asset("style.css")
    known = {"version": __version__, "style": style, "script": script, "policy": policy(style, script)}
    text = str(_template(name, folder).render({**context, **known}))
    return text.encode("utf-8", "replace")  # a manifest may hold half a surrogate pair


def save(html: bytes, folder: Folder, out: "str | os.PathLike[str] | None" = None) -> Path:
    """Writes a page to report.html of a local folder, or to the file `out`, whole or not at all."""
    if out is None and not folder.is_local:
        raise InputError(f"{folder.uri} is not a local folder; say with --out FILE where the report goes")
    path = folder.local(PAGE) if out is None else Path(out)
    if path.is_dir():
        raise InputError(f"{path} is a folder; give --out the name of a file, such as {path / PAGE}")
    Folder.of(path.parent).write(path.name, html)
    return path


@cache
def asset(name: str) -> Markup:
    """A file of this package that stands in a page as it is."""
    return Markup((HERE / name).read_text(encoding="utf-8"))


def policy(style: str, script: str | None = None) -> str:
    """A Content-Security-Policy under which only this style, this script and embedded pictures work."""
    rules = dict.fromkeys(("default-src", "base-uri", "form-action"), "'none'") | {"style-src": f"'{_hash(style)}'"}
    if script is not None:
        rules |= {"script-src": f"'{_hash(script)}'", "img-src": "data:", "require-trusted-types-for": "'script'"}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


@cache
def _template(name: str, folder: Path) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    rules = Environment(loader=FileSystemLoader([folder, HERE]), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    rules.lstrip_blocks = True
    rules.filters["commas"] = lambda count: f"{count:,}"
    rules.filters["words"] = words
    return rules.get_template(name)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
