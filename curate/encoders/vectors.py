"""Reads what `curate embed` wrote: ids, image refs and unit vectors of all demonstrations, memory-mapped.

RUN/embeddings/part-00000.parquet      demonstration_id, image_ref, has_image, has_text: one row a record
RUN/embeddings/part-00000.image.npy    [n, D] float16, unit rows, zeros where a record has no image
RUN/embeddings/part-00000.text.npy     [n, Dt] float16, unit rows, zeros where a record has no text
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from curate.engine import StageManifest
from curate.errors import IntegrityError
from curate.storage import Folder, hash_json, read_table

if TYPE_CHECKING:
    import pyarrow as pa

Half = npt.NDArray[np.float16]
Mask = npt.NDArray[np.bool_]
Space = Literal["image", "text"]
"""Which vectors of a demonstration: those of its image, or of its text (question and answer)."""

HEAD = 10 + 2**16
"""Bytes that hold any header of a .npy file."""

AGAIN = "remove the part and run curate embed again"


@dataclass(frozen=True, eq=False)
class Vectors:
    """The vectors of a finished embeddings stage in one space; row i belongs to `ids[i]` and `refs[i]`."""

    space: Space
    ids: list[str]  # demonstration ids
    refs: list[str]  # image refs
    present: Mask  # [N] False where a record has nothing to embed in this space; its vector is zero
    parts: tuple[Half, ...]  # [n, D] each, read-only, memory-mapped on a local disk
    encoder: str  # name for load_encoder
    image_space: str  # joint: comparable with text vectors; tower: not
    fingerprint: str  # of the encoder: equal ones, comparable vectors
    digest: str  # content hash of ids and vectors

    @classmethod
    def read(cls, folder: Folder, space: Space = "image") -> "Vectors":
        """Opens an embeddings folder; InputError when it is missing, IntegrityError when a part is damaged."""
        manifest = StageManifest.load(folder)
        names = manifest.tables()
        tables = [_checked_table(folder, name, manifest) for name in names]
        parts = [_part(folder, f"{name.removesuffix('.parquet')}.{space}.npy", manifest) for name in names]
        _check_shapes(folder, names, tables, parts)
        hashes = [manifest.files[f"{name.removesuffix('.parquet')}{end}"] for name in names for end in _ends(space)]
        return cls(
            space=space,
            ids=[str(value) for table in tables for value in table.column("demonstration_id").to_pylist()],
            refs=[str(value) for table in tables for value in table.column("image_ref").to_pylist()],
            present=np.concatenate([np.zeros(0, bool), *[_present(table, space) for table in tables]]),
            parts=tuple(parts),
            encoder=str(manifest.settings.get("encoder", "")),
            image_space=str(manifest.settings.get("image_space", "joint")),
            fingerprint=manifest.inputs.get("encoder", ""),
            digest=hash_json(hashes),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        """Length of a vector, 0 when there is none."""
        return int(self.parts[0].shape[1]) if self.parts else 0

    @cached_property
    def matrix(self) -> Half:
        """All vectors [N, D]: a view of the file when there is one part, else a copy in memory, made on first use."""
        return self.parts[0] if len(self.parts) == 1 else np.concatenate([np.zeros((0, self.dim), np.float16), *self.parts])

    def blocks(self, rows: int = 16384) -> Iterator[Half]:
        """All vectors in order, at most `rows` at a time, for what need not stand in memory whole."""
        for part in self.parts:
            for start in range(0, len(part), rows):
                yield part[start : start + rows]

    def take(self, rows: npt.NDArray[np.int64]) -> Half:
        """The vectors of ascending rows [n, D], as a copy."""
        starts = np.cumsum([0, *[len(part) for part in self.parts]])
        cuts = np.searchsorted(rows, starts)
        picked = [part[rows[a:b] - start] for part, start, a, b in zip(self.parts, starts, cuts, cuts[1:], strict=False)]
        return np.concatenate([np.zeros((0, self.dim), np.float16), *picked])

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in reversed(list(enumerate(self.ids)))}

    def row_of(self, demonstration_id: str) -> int:
        """The (first) row of a demonstration, -1 when it has none."""
        return self._rows.get(demonstration_id, -1)


def _present(table: "pa.Table", space: Space) -> Mask:
    """Where a row has a vector; everywhere when the table does not say."""
    name = f"has_{space}"
    if name not in table.column_names:
        return np.ones(table.num_rows, bool)
    return np.array(table.column(name).to_pylist(), dtype=bool)


def _ends(space: Space) -> tuple[str, str]:
    return (".parquet", f".{space}.npy")


def _checked_table(folder: Folder, name: str, manifest: StageManifest) -> "pa.Table":
    _check_size(folder, name, manifest)
    table = read_table(folder, name)
    if not {"demonstration_id", "image_ref"} <= set(table.column_names):
        raise IntegrityError(f"{folder.uri}/{name} lacks the columns demonstration_id and image_ref; {AGAIN}")
    return table


def _part(folder: Folder, name: str, manifest: StageManifest) -> Half:
    if name not in manifest.files:
        raise IntegrityError(f"{folder.uri} has no {name}; run curate embed again")
    _check_size(folder, name, manifest)
    try:
        vectors = _load(folder, name)
    except (ValueError, EOFError, OSError):
        raise IntegrityError(f"{folder.uri}/{name} is not a NumPy array; {AGAIN}") from None
    if vectors.dtype != np.float16 or vectors.ndim != 2:
        raise IntegrityError(f"{folder.uri}/{name} holds {vectors.dtype} {list(vectors.shape)}, not float16 [n, D]; {AGAIN}")
    return vectors


def _load(folder: Folder, name: str) -> npt.NDArray[Any]:
    """An array as a read-only memory map, or read whole where that is impossible (object stores, empty parts).

    The file is closed again: a NumPy memory map would keep it open, and a thousand parts are more than a process may.
    """
    import pyarrow as pa

    if folder.is_local and folder.size(name):
        with pa.memory_map(str(folder.local(name))) as mapped:
            return _array(mapped.read_buffer())
    return _array(folder.read(name))


def _array(data: "pa.Buffer | bytes") -> npt.NDArray[Any]:
    """A NumPy file's array, as a view of its bytes."""
    head = io.BytesIO(memoryview(data)[:HEAD])
    if np.lib.format.read_magic(head) != (1, 0):
        raise ValueError("not the version of .npy that embed writes")
    shape, by_column, kind = np.lib.format.read_array_header_1_0(head)
    if by_column or kind.hasobject:
        raise ValueError("not an array that embed writes")
    count = int(np.prod(shape))
    return np.frombuffer(data, kind, count, head.tell()).reshape(shape)


def _check_size(folder: Folder, name: str, manifest: StageManifest) -> None:
    size, meant = folder.size(name), manifest.sizes.get(name, -1)
    if size < 0 or (meant >= 0 and size != meant):
        raise IntegrityError(f"{folder.uri}/{name} has {max(size, 0)} bytes, not {meant} as its manifest says; {AGAIN}")


def _check_shapes(folder: Folder, names: list[str], tables: "list[pa.Table]", parts: list[Half]) -> None:
    for name, table, part in zip(names, tables, parts, strict=True):
        if len(part) != table.num_rows or part.shape[1] != parts[0].shape[1]:
            raise IntegrityError(
                f"{folder.uri}/{name} has {table.num_rows} rows beside vectors {list(part.shape)}"
                f" (the first part has length {parts[0].shape[1]}); {AGAIN}"
            )
