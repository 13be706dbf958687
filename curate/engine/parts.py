"""Where a stage puts what it makes of one partition."""

from collections import Counter
from typing import TYPE_CHECKING

from curate.engine.manifests import RECEIPTS, Receipt
from curate.storage import Atomic, Folder, canonical_json, sha256, table_bytes

if TYPE_CHECKING:
    import pyarrow as pa


class PartWriter:
    """Where a stage puts what it makes of one partition."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder, self._name = folder, name
        self._files: dict[str, str] = {}
        self._seen = self._made = 0
        self._left: dict[str, list[dict[str, str]]] = {"dropped": [], "rejected": []}
        self._tallies: dict[str, Counter[str]] = {}

    def saw(self, records: int = 1) -> None:
        """Counts records that came in."""
        self._seen += records

    def drop(self, record: str, reason: str, detail: str = "") -> None:
        """A filter's decision: the record is sound and not wanted."""
        self._left["dropped"].append({"record": record, "reason": reason, "detail": detail})

    def reject(self, record: str, reason: str, detail: str = "") -> None:
        """A bad record: unreadable, incomplete or hostile."""
        self._left["rejected"].append({"record": record, "reason": reason, "detail": detail})

    def tally(self, kind: str, name: str, count: int = 1) -> None:
        """Counts something worth knowing of the stage as a whole, such as ("licence", "CC0"); the manifest has the sums."""
        self._tallies.setdefault(kind, Counter())[name] += count

    def table(self, table: "pa.Table", suffix: str = "parquet") -> None:
        """Writes the part's records; rows count as made."""
        self._made += table.num_rows
        self.file(suffix, table_bytes(table))

    def file(self, suffix: str, data: bytes) -> None:
        """Writes a file of the part, such as its vectors."""
        name = f"{self._name}.{suffix}"
        self._folder.write(name, data)
        self._files[name] = sha256(data)

    def open(self, suffix: str) -> Atomic:
        """A file of the part too large to hold in memory; call `hashed` once it is closed."""
        return self._folder.open_atomic(f"{self._name}.{suffix}")

    def hashed(self, suffix: str, digest: str, records: int = 0) -> None:
        """Files the SHA-256 of a file written through `open`; its records count as made."""
        self._files[f"{self._name}.{suffix}"] = digest
        self._made += records

    def close(self, key: str) -> "Receipt":
        """Writes the lists of drops and rejections, then the receipt that makes the part count."""
        for kind, rows in self._left.items():
            name = f"{kind}/{self._name}.jsonl"
            if rows:
                data = b"".join(canonical_json(row) + b"\n" for row in rows)
                self._folder.write(name, data)
                self._files[name] = sha256(data)
            else:
                self._folder.remove(name)
        reasons = {kind: dict(sorted(Counter(r["reason"] for r in rows).items())) for kind, rows in self._left.items()}
        sizes = {name: self._folder.size(name) for name in self._files}
        tallies = {kind: dict(sorted(counter.items())) for kind, counter in sorted(self._tallies.items())}
        receipt = Receipt(self._name, key, self._files, sizes, self._seen, self._made, **reasons, tallies=tallies)
        self._folder.write(f"{RECEIPTS}/{self._name}.json", canonical_json(vars(receipt)))
        return receipt
