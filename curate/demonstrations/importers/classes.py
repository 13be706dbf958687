"""A folder for each class, as in torchvision's and datasets' ImageFolder: the folder's name is the answer."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from curate.demonstrations.found import IMPORTERS, Found, ImportSettings, Item, Picture, Unusable
from curate.demonstrations.reading import PICTURES, Root, folder_concepts


class ClassSettings(ImportSettings):
    """Settings of `curate import classes`."""

    level: Literal["innermost", "outermost"] = "innermost"
    """Which of several nested folders is the class."""
    skip_folders: tuple[str, ...] = ()
    """Folders, as words, that name no class, such as a drawing style; the next one up counts."""
    names: dict[str, str] = Field(default_factory=dict)
    """Names of classes whose folders are called otherwise, as {folder name as words: class name}."""


@IMPORTERS.register("classes")
class Classes:
    """Pictures in class folders."""

    Settings: ClassVar[type[ImportSettings]] = ClassSettings
    task: ClassVar[str] = "category"

    def __init__(self, path: str, settings: ClassSettings) -> None:
        self._path, self._settings = Path(path), settings

    @cached_property
    def root(self) -> Path:
        """The folder of the class folders."""
        return self._path

    def items(self) -> Iterator[Item]:
        """One item a picture."""
        for name in Root(self._path).files(PICTURES):
            yield Item(name, (name,))

    def found(self, item: Item) -> Iterator[Found]:
        """The picture, a question and the class."""
        folders = folder_concepts(item.record, self._settings.skip_folders)
        concepts = tuple(self._settings.names.get(folder, folder) for folder in folders)
        if not concepts:
            raise Unusable("no_class", "the picture lies in no class folder")
        label = concepts[0] if self._settings.level == "innermost" else concepts[-1]
        others = tuple(concept for concept in concepts if concept != label)
        yield Found((Picture(item.record),), label, concepts=(label, *others))
