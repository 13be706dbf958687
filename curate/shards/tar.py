"""The tar format as far as shards need it: regular files with fixed metadata, written and checked byte by byte.

Every header is POSIX ustar with mode 0644, owner and group 0 without names, and time 0, so a member's
header follows from its name and size alone. That makes shards reproducible, and makes a damaged header
visible without a stored copy of it.
"""

import hashlib
import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 512
END = bytes(2 * BLOCK)
"""Two empty blocks close an archive."""

MAX_MEMBER = 8**11 - 1
"""The largest size that a ustar header can state."""

_BEFORE_SIZE = b"0000644\0" + b"0000000\0" * 2  # mode, owner, group
_AFTER_CHECKSUM = b"0" + bytes(100) + b"ustar\x0000" + bytes(247)  # regular file, no link, no names, no devices, no prefix
_CONSTANT = _BEFORE_SIZE + b"\0" + b"00000000000\0" + b" " * 8 + _AFTER_CHECKSUM  # checksums count their own field as blanks
_CONSTANT_SUM = sum(_CONSTANT)
_PADDING = [bytes(-size % BLOCK) for size in range(BLOCK)]


def header(name: str, size: int) -> bytes:
    """The 512 bytes that stand before a member; names are ASCII of at most 100 characters."""
    assert size <= MAX_MEMBER, f"{name} is too large for a tar member"
    path, digits = name.encode("ascii"), b"%011o" % size
    assert 0 < len(path) <= 100, f"{name} is no name for a tar member"
    checksum = b"%06o\0 " % (_CONSTANT_SUM + sum(path) + sum(digits))
    return path.ljust(100, b"\0") + _BEFORE_SIZE + digits + b"\0" + b"00000000000\0" + checksum + _AFTER_CHECKSUM


def padded(size: int) -> int:
    """Bytes that a member's data occupies, filled up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def stored(size: int) -> int:
    """Bytes that a member occupies with its header."""
    return BLOCK + padded(size)


class TarSink:
    """Writes samples into an open file, hashing on the way, and keeps the member index.

    SHA-256 and checksums are computed in a second thread while the next sample is gathered; hashing lets go
    of the interpreter, and one sample at most waits, so memory stays at two samples.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._sha = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shard-hash")
        self._hashing: Future[None] | None = None
        self._keys: list[str] = []
        self._members: list[str] = []
        self._offsets: list[int] = []
        self._sizes: list[int] = []
        self._checks: list[int] = []
        self._position = 0
        self.samples = 0

    def add(self, key: str, members: Sequence[tuple[str, bytes]]) -> None:
        """Appends one sample: (suffix, data) pairs that become members `KEY.suffix`."""
        pieces = []
        sizes = [len(data) for _, data in members]
        for (suffix, data), size in zip(members, sizes, strict=True):
            pieces += [header(f"{key}.{suffix}", size), data, _PADDING[size % BLOCK]]
            self._keys.append(key)
            self._members.append(suffix)
            self._offsets.append(self._position + BLOCK)
            self._position += stored(size)
        self._sizes += sizes
        self._put(b"".join(pieces), sizes)
        self.samples += 1

    def _put(self, data: bytes, sizes: list[int]) -> None:
        self._wait()
        self._hashing = self._thread.submit(self._hash, memoryview(data), sizes)
        self._out.write(data)

    def _hash(self, block: memoryview, sizes: list[int]) -> None:
        """Both hashes of a member one after the other, while it is in the processor's cache."""
        start = 0
        for size in sizes:
            end = start + stored(size)
            self._checks.append(zlib.crc32(block[start + BLOCK : start + BLOCK + size]))
            self._sha.update(block[start:end])
            start = end
        self._sha.update(block[start:])

    def _wait(self) -> None:
        if self._hashing:
            self._hashing.result()

    def close(self) -> str:
        """Ends the archive (the file stays open) and returns its SHA-256."""
        self._put(END, [])
        self._wait()
        self._thread.shutdown()
        return self._sha.hexdigest()

    def index(self) -> "pa.Table":
        """One row a member, in the order of the archive: key, member, offset of its data, size, crc32."""
        import pyarrow as pa

        columns = [self._keys, self._members, self._offsets, self._sizes, self._checks]
        arrays = [pa.array(column, kind) for column, kind in zip(columns, index_schema().types, strict=True)]
        return pa.Table.from_arrays(arrays, schema=index_schema())


def index_schema() -> "pa.Schema":
    """Columns of a shard's member index."""
    import pyarrow as pa

    texts = [("key", pa.string()), ("member", pa.string())]
    return pa.schema([*texts, ("offset", pa.int64()), ("size", pa.int64()), ("crc32", pa.uint32())])


def member_names(file: IO[bytes]) -> tuple[list[str], bool]:
    """Names in an archive that may be anything, and whether it is closed by an empty block. Reads headers only."""
    names: list[str] = []
    while len(block := file.read(BLOCK)) == BLOCK:
        if not any(block):
            return names, True
        try:
            size = int(block[124:136].rstrip(b" \0") or b"0", 8)
        except ValueError:
            break
        names.append(block[:100].split(b"\0", 1)[0].decode("utf-8", "replace"))
        file.seek(padded(size), 1)
    return names, False
