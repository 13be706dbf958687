"""A run's shards as a published version: TARGET/VERSION/ with shards, indexes, card, release.json, and manifest.json last.

A version is there once its manifest.json is, and then never changes. Until then uploads may be interrupted
and repeated: files that already arrived whole are not sent again. TARGET/README.md is the card of the
highest version.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from curate.engine import MANIFEST
from curate.errors import InputError
from curate.layout import Run
from curate.shards.card import MARK, Facts, card
from curate.shards.hub import SCHEME, HubTarget
from curate.shards.reading import load_manifest
from curate.shards.release import RELEASE, Entry, Release, parse_version
from curate.shards.targets import FolderTarget
from curate.shards.uploads import CARD, PROVENANCE, Target, Upload
from curate.storage import Folder, canonical_json

Say = Callable[[str], None]


@dataclass(frozen=True)
class Published:
    """What publishing did, or with `dry_run` would do."""

    version: str
    target: str
    sent: tuple[str, ...]
    skipped: tuple[str, ...]  # arrived earlier
    bytes_sent: int
    digest: str  # of the release


def publish(
    run: Run, target: str, version: str, private: bool = False, dry_run: bool = False, say: Say | None = None
) -> Published:
    """Publishes RUN/shards as TARGET/VERSION; publishing the same content again changes nothing.

    `target` is a folder, an fsspec URL or `hf://datasets/ORG/NAME`. Raises InputError when the version
    exists with other content, IntegrityError when a shard is not what the manifest says, StorageError when the
    target refuses. `say` hears what is being sent.
    """
    parse_version(version)
    place, title = open_target(target, private)
    facts = Facts.of(run, load_manifest(run.shards), title, version)
    if not facts.episodes:
        raise InputError(f"{run.shards.uri} holds no episode; there is nothing to publish")
    uploads = list(_uploads(run, facts))
    release = Release.of(version, {upload.name: upload.entry for upload in uploads})
    published = _is_published(place, target, release)
    there = {u.name for u in uploads} if published else place.present(version, uploads)
    missing = [upload for upload in uploads if upload.name not in there]
    sent = sum(upload.entry.size for upload in missing)
    if not dry_run:
        if not published:
            _send(place, version, missing, say or (lambda line: None))
        last = [Upload.made(RELEASE, release.encode()), *[u for u in missing if u.name == MANIFEST]]
        _finish(place, version, [] if published else last, card(facts, f"{version}/").encode())
    return Published(version, target, tuple(u.name for u in missing), tuple(sorted(there)), sent, release.digest)


def open_target(target: str, private: bool = False) -> tuple[Target, str]:
    """The target behind a path or URL and the name that its card bears."""
    if target.startswith(SCHEME):
        hub = HubTarget.at(target, private)
        return hub, hub.repo
    folder = Folder.of(target)
    return FolderTarget(folder), folder.uri.rpartition("/")[2] or "episodes"


def _uploads(run: Run, facts: Facts) -> Iterator[Upload]:
    """All files of the version, the manifest at the end."""
    manifest = facts.shards
    for name in sorted(manifest.files):
        entry = Entry(size=manifest.sizes.get(name, run.shards.size(name)), sha256=manifest.files[name])
        yield Upload(name, entry, folder=run.shards)
    yield Upload.made(PROVENANCE, canonical_json(facts.provenance()) + b"\n")
    yield Upload.made(CARD, card(facts).encode())
    yield Upload.made(MANIFEST, run.shards.read(MANIFEST))


def _is_published(place: Target, target: str, release: Release) -> bool:
    if place.read(f"{release.version}/{MANIFEST}") is None:
        return False
    if place.read(f"{release.version}/{RELEASE}") == release.encode():
        return True
    raise InputError(
        f"{target} already has a version {release.version} with other content, and a published version never changes;"
        f" raise --version"
    )


def _send(place: Target, version: str, missing: Sequence[Upload], say: Say) -> None:
    early = [upload for upload in missing if upload.name != MANIFEST]
    done = 0
    for batch in place.batches(early):
        place.send(version, batch)
        done += len(batch)
        say(f"sent {batch[-1].name}, {done} of {len(early)} files")


def _finish(place: Target, version: str, last: Sequence[Upload], text: bytes) -> None:
    newest = max([version, *place.versions()], key=parse_version)
    shown = place.read(CARD)
    ours = shown is None or MARK.encode() in shown  # somebody's own README.md is left alone
    place.finish(version, last, text if newest == version and ours and shown != text else None)
