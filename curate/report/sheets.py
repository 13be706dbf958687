"""What all pages share: templates, the style sheet, and a policy under which a page loads nothing from anywhere.

base.html is the page around the sections, figures.html the plot with its legend and its numbers as a table.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from curate import __version__
from curate.report.wording import words

HERE = Path(__file__).parent


def page(name: str, context: dict[str, Any], script: Markup | None = None) -> bytes:
    """The page of a template of this package. `script`, if any, is the only one that a browser will run in it."""
    style = asset("style.css")
    known = {"version": __version__, "style": style, "script": script, "policy": policy(style, script)}
    text = str(_template(name).render({**context, **known}))
    return text.encode("utf-8", "replace")  # a manifest may hold half a surrogate pair


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
def _template(name: str) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    rules = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    rules.lstrip_blocks = True
    rules.filters["commas"] = lambda count: f"{count:,}"
    rules.filters["words"] = words
    return rules.get_template(name)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
