"""Publishing to the Hugging Face Hub as a data set repository, through `huggingface_hub.HfApi`.

Tested against a local stub of the Hub's HTTP API only; it was not run against the Hub itself.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from curate.errors import ConfigError, StorageError
from curate.shards.targets import complete_versions
from curate.shards.uploads import CARD, Upload

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

SCHEME = "hf://"
_DATASET = re.compile(r"hf://datasets/([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)/?", re.ASCII)

BATCH_FILES, BATCH_BYTES = 50, 5_000_000_000
"""A commit holds no more than this: few commits, and little to send again after an interruption."""

LOOKED_UP = 100
"""Paths asked for in one request."""


class HubTarget:
    """Versions as folders of a data set repository, and as its tags."""

    def __init__(self, repo: str, private: bool = False) -> None:
        from huggingface_hub import HfApi

        self.repo = repo
        self._private = private
        self._api: Any = HfApi()
        self._known = False  # whether the repository is there

    @classmethod
    def at(cls, url: str, private: bool = False) -> "HubTarget":
        """The target behind hf://datasets/ORG/NAME; ConfigError for another address."""
        found = _DATASET.fullmatch(url)
        if not found:
            raise ConfigError(f"the Hub wants hf://datasets/ORG/NAME, not {url[:100]!r}")
        return cls(found[1], private)

    def read(self, name: str) -> bytes | None:
        """A small file, None when the Hub says that it is not there; StorageError when the Hub does not answer."""
        from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

        with hub_errors(self.repo), TemporaryDirectory() as folder:
            try:
                path = self._api.hf_hub_download(self.repo, name, repo_type="dataset", local_dir=folder)
            except (RemoteEntryNotFoundError, RepositoryNotFoundError):
                return None
            with open(path, "rb") as file:
                return file.read()

    def versions(self) -> list[str]:
        """Versions whose manifest is there."""
        from huggingface_hub.errors import RepositoryNotFoundError

        with hub_errors(self.repo):
            try:
                return complete_versions(self._api.list_repo_files(self.repo, repo_type="dataset"))
            except RepositoryNotFoundError:
                return []

    def present(self, version: str, uploads: Sequence[Upload]) -> set[str]:
        """Files whose size and hash the Hub states as ours."""
        ours = {f"{version}/{upload.name}": upload for upload in uploads}
        return {ours[info.path].name for info in self._infos(list(ours)) if _same(info, ours[info.path])}

    def _infos(self, paths: list[str]) -> Iterator[Any]:
        from huggingface_hub.errors import RepositoryNotFoundError

        with hub_errors(self.repo):
            for start in range(0, len(paths), LOOKED_UP):
                asked = paths[start : start + LOOKED_UP]
                try:
                    yield from self._api.get_paths_info(self.repo, asked, repo_type="dataset")
                except RepositoryNotFoundError:
                    return

    def batches(self, uploads: Sequence[Upload]) -> Iterator[Sequence[Upload]]:
        """Portions of one commit each."""
        batch: list[Upload] = []
        for upload in uploads:
            if batch and (len(batch) == BATCH_FILES or sum(u.entry.size for u in [*batch, upload]) > BATCH_BYTES):
                yield batch
                batch = []
            batch.append(upload)
        if batch:
            yield batch

    def send(self, version: str, uploads: Sequence[Upload]) -> None:
        """One commit."""
        self._commit(version, [_operation(f"{version}/{upload.name}", upload) for upload in uploads], f"Part of {version}")

    def finish(self, version: str, last: Sequence[Upload], card: bytes | None) -> None:
        """One commit makes the version complete and shows its card; a tag names it."""
        operations = [_operation(f"{version}/{upload.name}", upload) for upload in last]
        if card is not None:
            operations.append(_operation(CARD, Upload.made(CARD, card)))
        if operations:
            self._commit(version, operations, f"Version {version}")
        with hub_errors(self.repo):
            self._api.create_tag(self.repo, tag=version, repo_type="dataset", exist_ok=True)

    def _commit(self, version: str, operations: "list[CommitOperationAdd]", message: str) -> None:
        with hub_errors(self.repo):
            if not self._known:
                self._api.create_repo(self.repo, repo_type="dataset", private=self._private or None, exist_ok=True)
                self._known = True
            self._api.create_commit(self.repo, operations, commit_message=message, repo_type="dataset")


def _operation(path: str, upload: Upload) -> "CommitOperationAdd":
    from huggingface_hub import CommitOperationAdd

    content = str(upload.folder.local(upload.name)) if upload.folder else upload.read()
    operation = CommitOperationAdd(path_in_repo=path, path_or_fileobj=content)
    upload.check(operation.upload_info.sha256.hex())
    return operation


def _same(info: Any, upload: Upload) -> bool:
    """Whether the Hub's record of a file is of our bytes: SHA-256 of large files, git's blob hash of small ones."""
    if getattr(info, "size", -1) != upload.entry.size:
        return False
    if info.lfs:
        return bool(info.lfs.sha256 == upload.entry.sha256)
    return bool(info.blob_id == git_blob(upload.read()))


def git_blob(data: bytes) -> str:
    """Git's name for a file's content (Pro Git, 10.2)."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextmanager
def hub_errors(repo: str) -> Iterator[None]:
    """Refusals of the Hub and of the network as a StorageError that says what to do."""
    from huggingface_hub.errors import LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError:
        raise StorageError(f"the Hub wants a token to write to {repo}; run `hf auth login` or set HF_TOKEN") from None
    except Exception as error:
        if not type(error).__module__.startswith(("huggingface_hub", "httpx", "httpcore", "requests")):
            raise
        detail = " ".join(str(error).split())[:300] or type(error).__name__
        raise StorageError(f"the Hub refused {repo}: {detail}; run again when it is mended, what arrived is kept") from error
