"""The catalogue of sample corpora: what each one is, and which package carries it (see catalogue.yaml)."""

from functools import cache
from importlib import resources
from typing import Literal

import yaml

from curate.errors import InputError
from curate.registry import nearest
from curate.settings import Settings, build


class Sample(Settings):
    """One sample corpus."""

    name: str
    what: str
    """One line for people."""
    client: Literal["apt", "pip", "npm"]
    """The package manager that fetches it."""
    package: str
    """What the client is asked for, with a version where the client can pin one."""
    licence: str
    """SPDX identifier of the content that is kept."""
    root: str
    """Folder inside the package that becomes the sample's top."""
    keep: tuple[str, ...]
    """Shell patterns of names below `root`; nothing else is unpacked."""


@cache
def catalogue() -> dict[str, Sample]:
    """All samples by name, in the catalogue's order."""
    text = resources.files("curate.sources").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    return {name: build(Sample, {"name": name, **entry}, "catalogue.yaml") for name, entry in yaml.safe_load(text).items()}


def sample(name: str) -> Sample:
    """The sample of a name; InputError naming the nearest known one otherwise."""
    known = catalogue()
    if name not in known:
        raise InputError(f"no sample is called {name!r}{nearest(name, known)}; `curate samples list` shows all")
    return known[name]
