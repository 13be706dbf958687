"""Publishing to the Hub, against hub_stub.py: a local stub of its HTTP API. Nothing here ran against the Hub itself."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from curate.errors import ConfigError, InputError, StorageError
from curate.layout import Run
from curate.shards import ShardSettings, publish, verify, write_shards
from curate.shards import hub as module

TARGET = "hf://datasets/org/toy"


def _load_stub() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hub_stub", Path(__file__).with_name("hub_stub.py"))
    assert spec is not None
    assert spec.loader is not None
    stub = importlib.util.module_from_spec(spec)
    sys.modules["hub_stub"] = stub
    spec.loader.exec_module(stub)
    return stub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import huggingface_hub

    hub = _load_stub().StubHub()
    server = hub.start()
    monkeypatch.setattr(huggingface_hub, "HfApi", partial(huggingface_hub.HfApi, endpoint=hub.url))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setenv("HF_TOKEN", "hf_stub")
    yield hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(mixed_run: Run) -> Run:
    write_shards(mixed_run, ShardSettings(max_episodes=6))
    return mixed_run


def test_a_version_arrives_whole_with_manifest_and_card_in_the_last_commit_and_a_tag(run: Run, hub: Any) -> None:
    done = publish(run, TARGET, "1.0.0")
    assert {name for name in hub.files if name.startswith("1.0.0/")} == {f"1.0.0/{n}" for n in [*done.sent, "release.json"]}
    assert {"1.0.0/release.json", "1.0.0/manifest.json", "README.md"} == set(hub.commits[-1])
    assert all(
        hub.files[f"1.0.0/{name}"] == run.shards.read(name) for name in done.sent if name.endswith((".tar", "manifest.json"))
    )
    assert hub.tags == ["1.0.0"]
    assert b"load_dataset('org/toy', revision='1.0.0'" in hub.files["README.md"]


def test_an_interrupted_upload_goes_on_with_what_is_missing(run: Run, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_FILES", 2)
    hub.refuse_after = 2
    with pytest.raises(StorageError, match="run again"):
        publish(run, TARGET, "1.0.0")
    assert "1.0.0/manifest.json" not in hub.files
    there, hub.refuse_after = set(hub.files), 10**9
    hub.uploaded.clear()
    done = publish(run, TARGET, "1.0.0")
    assert {f"1.0.0/{name}" for name in done.skipped} == there
    assert not {hub.info(name)["lfs"]["oid"] for name in there if name.endswith(".tar")} & set(hub.uploaded)
    assert "1.0.0/manifest.json" in hub.files


def test_the_same_content_again_commits_nothing_and_other_content_is_refused(run: Run, hub: Any) -> None:
    publish(run, TARGET, "1.0.0")
    commits = len(hub.commits)
    assert publish(run, TARGET, "1.0.0").sent == ()
    write_shards(run, ShardSettings(max_episodes=5))
    with pytest.raises(InputError, match="raise --version"):
        publish(run, TARGET, "1.0.0")
    assert len(hub.commits) == commits


def test_a_dry_run_creates_no_repository(run: Run, hub: Any) -> None:
    assert publish(run, TARGET, "1.0.0", dry_run=True).sent
    assert not hub.exists


def test_a_hub_that_does_not_answer_is_not_taken_for_an_empty_one(run: Run, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    publish(run, TARGET, "1.0.0")
    monkeypatch.setattr(huggingface_hub, "HfApi", partial(huggingface_hub.HfApi, endpoint="http://127.0.0.1:9"))
    with pytest.raises(StorageError, match="run again"):
        publish(run, TARGET, "1.0.0")


def test_a_missing_token_is_one_line(run: Run, hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nonexistent")
    with pytest.raises(StorageError, match=r"token|401"):
        publish(run, TARGET, "1.0.0")


@pytest.mark.parametrize(
    "url", ["hf://org/toy", "hf://models/org/toy", "hf://datasets/org", "hf://datasets/../x", "hf://datasets/a/b/c"]
)
def test_another_address_is_refused(run: Run, url: str) -> None:
    with pytest.raises(ConfigError, match="hf://datasets/ORG/NAME"):
        publish(run, url, "1.0.0")


def test_the_commands_publish_and_pull_over_the_stub(run: Run, hub: Any, tmp_path: Path) -> None:
    env = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": "hf_stub",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "hf"),
    }
    curate = [sys.executable, "-m", "pipelines.cli"]
    sent = subprocess.run(
        [*curate, "publish", run.root.uri, TARGET, "--version", "1.0.0"], env=env, capture_output=True, text=True
    )
    assert sent.returncode == 0, sent.stderr
    got = subprocess.run([*curate, "pull", TARGET, str(tmp_path / "here")], env=env, capture_output=True, text=True)
    assert got.returncode == 0, got.stderr
    assert verify(tmp_path / "here") == []
    checked = subprocess.run([*curate, "shards", "verify", f"{TARGET}/1.0.0"], env=env, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
