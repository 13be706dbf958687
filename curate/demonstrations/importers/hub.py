"""Any `datasets` data set through a column mapping: saved to disk, Parquet or CSV files, or a hub's name.

Nothing of a data set is ever executed. Images may be `datasets` images, plain bytes, or file names below the
data set's folder; a path that leads elsewhere is refused, whatever the table says.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from curate.demonstrations.columns import ColumnSettings, digest_of, found_in
from curate.demonstrations.found import IMPORTERS, Found, ImportSettings, Item, Picture, Unusable
from curate.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

BATCH = 128
FILES = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json", ".json": "json", ".arrow": "arrow"}


class HubSettings(ColumnSettings):
    """Settings of `curate import datasets`."""

    image: tuple[str, ...] = Field(("image",), min_length=1)
    """Columns with one image or a list of images each."""
    split: str = "train"
    """Split to read."""
    subset: str = ""
    """Configuration of a data set that has several."""
    revision: str = ""
    """Commit or tag of a hub's data set; name one, so that the same command reads the same data."""


@IMPORTERS.register("datasets")
class Hub:
    """Rows of a data set."""

    Settings: ClassVar[type[ImportSettings]] = HubSettings
    task: ClassVar[str] = "caption"

    def __init__(self, path: str, settings: HubSettings) -> None:
        self._path, self._settings = path, settings

    @cached_property
    def root(self) -> Path:
        """The data set's folder; for a hub's data set, where its files are cached."""
        if Path(self._path).exists():
            return Path(self._path) if Path(self._path).is_dir() else Path(self._path).parent
        import datasets

        return Path(str(datasets.config.HF_CACHE_HOME))

    @cached_property
    def _rows(self) -> "Dataset":
        data = opened(self._path, self._settings)
        self._settings.check(data.column_names, f"{Path(self._path).name} ({self._settings.split})")
        return data.select_columns(list(dict.fromkeys(self._settings.wanted()))).with_format("arrow")

    @cached_property
    def _labels(self) -> tuple[str, ...]:
        """Names of a ClassLabel answer column."""
        feature = self._rows.features[self._settings.answer]
        return tuple(getattr(feature, "names", None) or ())

    @property
    def _mapping(self) -> ColumnSettings:
        if self._settings.labels or not self._labels:
            return self._settings
        return self._settings.model_copy(update={"labels": self._labels})

    def items(self) -> Iterator[Item]:
        """One item a row, named by its number; the row's content is hashed here and read again in the worker."""
        for start in range(0, len(self._rows), BATCH):
            for offset, row in enumerate(self._rows[start : start + BATCH].to_pylist()):
                files = tuple(picture.name for picture in self._pictures(row, strict=False) if picture.name)
                yield Item(f"{self._settings.split}/{start + offset:08d}", files, start + offset, _digest(row))

    def found(self, item: Item) -> Iterator[Found]:
        """The row's pair."""
        row = self._rows[item.data : item.data + 1].to_pylist()[0]
        task = self._settings.task or ("category" if self._mapping.labels else self.task)
        yield found_in(row, tuple(self._pictures(row)), self._mapping, task)

    def _pictures(self, row: dict[str, Any], strict: bool = True) -> list[Picture]:
        cells = [row.get(column) for column in self._settings.image]
        flat = [entry for cell in cells for entry in (cell if isinstance(cell, list) else [cell])]
        try:
            return [self._picture(entry) for entry in flat]
        except Unusable:
            if strict:
                raise
            return []

    def _picture(self, entry: Any) -> Picture:
        data, name = (entry.get("bytes"), entry.get("path")) if isinstance(entry, dict) else (entry, None)
        if isinstance(data, bytes):
            return Picture(data=data)
        name = data if isinstance(data, str) else name
        if name is None:
            raise Unusable("missing_field", "image")
        if not isinstance(name, str):
            raise Unusable("wrong_type", "the image is neither bytes nor a file name")
        root = str(self.root.resolve())
        return Picture(name.removeprefix(f"{root}/"))


def _digest(row: dict[str, Any]) -> str:
    try:
        return digest_of(row)
    except Unusable as fault:  # told again where the row is read
        return fault.reason


def opened(path: str, settings: HubSettings) -> "Dataset":
    """The split of a data set; InputError in one line when it cannot be had."""
    import datasets

    datasets.disable_progress_bars()
    try:
        data = _load(path, settings)
    except InputError:
        raise
    except Exception as error:  # datasets raises whatever its readers raise
        raise InputError(f"datasets cannot open {Path(path).name}: {' '.join(str(error).split())[:300]}") from None
    if isinstance(data, dict):
        if settings.split not in data:
            raise InputError(f"{Path(path).name} has no split {settings.split!r}; it has: {', '.join(map(str, data))}")
        data = data[settings.split]
    return data


def _load(path: str, settings: HubSettings) -> Any:
    import datasets

    place = Path(path)
    if not place.exists():
        more = {"revision": settings.revision} if settings.revision else {}
        return datasets.load_dataset(path, settings.subset or None, split=settings.split, **more)
    if any((place / name).exists() for name in ("state.json", "dataset_dict.json")):
        return datasets.load_from_disk(path)
    files = sorted(str(file) for file in place.rglob("*") if file.suffix in FILES) if place.is_dir() else [path]
    kinds = {FILES.get(Path(file).suffix) for file in files}
    if len(kinds) != 1 or None in kinds:
        raise InputError(f"{place.name} is no data set: it must be saved to disk, or files of one kind ({', '.join(FILES)})")
    return datasets.load_dataset(str(kinds.pop()), data_files={settings.split: files}, split=settings.split)
