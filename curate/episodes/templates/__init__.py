"""Wordings as data: FORMAT.yaml files of paraphrases, checked before any work.

A template file is a list of mappings. `turn` is the text of a turn with the placeholders its format knows in
braces; `option` and `joiner` say how options are listed. Only plain names may stand in braces, so that a
template can reach nothing but the words it is given.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from string import Formatter

import yaml
from pydantic import Field

from curate.errors import ConfigError, InputError
from curate.registry import nearest
from curate.settings import Settings, build

HERE = Path(__file__).parent

PLACEHOLDERS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "multiple_choice": (frozenset({"options"}), frozenset()),
    "classification": (frozenset(), frozenset({"options"})),
    "open_qa": (frozenset({"question"}), frozenset()),
    "caption": (frozenset(), frozenset()),
}
"""By format: placeholders of `turn` that must and that may stand there."""


class Template(Settings):
    """One wording of a format."""

    turn: str = Field(min_length=1, max_length=2000)
    """Text of a turn."""
    option: str = Field("{letter}. {text}", min_length=1, max_length=200)
    """How one option is shown; {letter} may be left out where answers are words."""
    joiner: str = Field("\n", max_length=20)
    """What stands between options."""

    @cached_property
    def lists_options(self) -> bool:
        """Whether a turn names its options."""
        return "options" in _fields(self.turn)

    def say(self, question: str = "", options: str = "") -> str:
        """The text of a turn."""
        return self.turn.format(question=question, options=options)

    def show(self, texts: list[str]) -> str:
        """Options as a turn lists them."""
        option = self.option
        shown = [option.format(letter=letter, text=text) for letter, text in zip(LETTERS, texts, strict=False)]
        return self.joiner.join(shown)


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def load_templates(folder: str = "") -> dict[str, list[Template]]:
    """All formats' templates: the built-in ones, replaced by the FORMAT.yaml files of `folder`."""
    if folder and not Path(folder).is_dir():
        raise InputError(f"templates: {folder} is not a folder; give one with files such as caption.yaml")
    if folder:
        _check_names(Path(folder))
    return {name: _read(_place(folder, name), name) for name in PLACEHOLDERS}


def _place(folder: str, name: str) -> Path:
    own = Path(folder) / f"{name}.yaml"
    return own if folder and own.exists() else HERE / f"{name}.yaml"


def _check_names(folder: Path) -> None:
    for path in sorted(folder.glob("*.y*ml")):
        if path.name not in {f"{name}.yaml" for name in PLACEHOLDERS}:
            raise ConfigError(f"{path}: no format is called {path.stem!r}{nearest(path.stem, PLACEHOLDERS)}")


def _read(path: Path, name: str) -> list[Template]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, list) or not data or not all(isinstance(item, dict) for item in data):
        raise ConfigError(f"{path} must hold a list of templates, each with a turn: key")
    return [_checked(build(Template, item, f"{path}, template {at + 1}"), name, path, at) for at, item in enumerate(data)]


def _checked(template: Template, name: str, path: Path, at: int) -> Template:
    where = f"{path}, template {at + 1}"
    must, may = PLACEHOLDERS[name]
    found = _fields(template.turn, where)
    if must - found:
        raise ConfigError(f"{where}: turn must hold {{{', '.join(sorted(must - found))}}}")
    if found - must - may:
        known = sorted(must | may) or ["no placeholder"]
        raise ConfigError(f"{where}: turn may hold {', '.join(known)}, not {{{', '.join(sorted(found - must - may))}}}")
    shown = _fields(template.option, where)
    if not {"text"} <= shown <= {"text", "letter"} or (name == "multiple_choice" and "letter" not in shown):
        raise ConfigError(f"{where}: option must hold {{text}}, and {{letter}} for a multiple choice, and nothing else")
    return template


def _fields(text: str, where: str = "template") -> set[str]:
    """Names in braces; ConfigError for anything but a plain name."""
    found = set[str]()
    try:
        for _, field, spec, conversion in Formatter().parse(text):
            if field is None:
                continue
            if not field.isidentifier() or spec or conversion:
                raise ConfigError(f"{where}: {{{field}}} must be a plain name in braces; write {{{{ for a brace")
            found.add(field)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}; write {{{{ and }}}} for braces") from None
    return found
