"""The page of training runs needs nothing else, says what was logged, and lets no name become markup."""

import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from curate.errors import InputError
from curate.report.training import is_training, training_page, write_training_page
from curate.report.training.curves import Curves
from curate.report.training.page import names
from curate.report.training.plots import loss_plots, pace_plots
from pipelines.cli import app

EVIL = '<img src=x onerror="alert(1)">'


def row(step: int, base: float = 1.0, **more: Any) -> dict[str, Any]:
    loss = base + 2 * math.exp(-step / 100)
    shots = {str(k): {"loss": loss - 0.1 * k, "tokens": 10} for k in range(9)}
    sources = {name: {"loss": loss + at, "tokens": 50 - at} for at, name in enumerate(("web", EVIL))}
    formats = {name: {"loss": loss, "tokens": 9} for name in ("open_qa", "caption")}
    losses = {"source": sources, "format": formats, "shots": shots}
    return {
        "step": step, "kind": "train", "loss": loss, "tokens": 90, "losses": losses,
        "lr": {"projector": 1e-3, "language": 2e-5}, "grad_norm": 2.0, "bad_steps": 1, "data_wait": 0.01, "mfu": 0.4,
        "tokens_per_s": {"all": 4000.0, "real": 3500.0, "supervised": 300.0}, **more,
    }  # fmt: skip


def write(folder: Path, rows: int = 60, base: float = 1.0) -> str:
    folder.mkdir(parents=True)
    made = [row(10 * (at + 1), base) for at in range(rows)]
    made += [{"step": 300, "kind": "validation", "loss": base + 0.5, "tokens": 7, "losses": made[-1]["losses"]}]
    folder.joinpath("metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in made))
    folder.joinpath("config.yaml").write_text(f"model: {EVIL}\n")
    return str(folder)


def curves(folder: Path, **more: Any) -> Curves:
    from curate.storage import Folder

    return Curves.read(Folder.of(write(folder, **more)), folder.name)


class Tags(HTMLParser):
    """Collects tags, links and words."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.places: list[str | None] = []
        self.words = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.places += [value for name, value in attrs if name in ("src", "href", "srcset", "onerror", "onclick", "style")]

    def handle_data(self, data: str) -> None:
        self.words += f" {data}"


def test_one_run_is_drawn_by_source_format_and_shot_position(tmp_path: Path) -> None:
    run = curves(tmp_path / "icl")
    titles = [plot.title for plot in loss_plots([run])]
    assert titles == ["Loss", "Loss by source", "Loss by format", "Loss by shot position", "Loss along the shots"]
    assert [plot.title for plot in pace_plots([run])] == [
        "Learning rate", "Gradient norm", "Tokens a second", "Waiting for data", "Model flops utilisation",
    ]  # fmt: skip
    along = loss_plots([run])[-1]
    assert along.head == ("demonstrations before the answer", "end", "beginning", "validation")
    assert [cells[0] for cells in along.rows] == [str(k) for k in range(9)]


def test_every_plot_has_its_figures_as_a_table(tmp_path: Path) -> None:
    run = curves(tmp_path / "icl")
    loss = loss_plots([run])[0]
    assert loss.head == ("step", "training", "validation")
    assert loss.rows[0] == ["10", "2.81", "–"]
    assert (loss.rows[-1][0], loss.rows[-1][2]) == ("600", "1.5")
    for plot in (*loss_plots([run]), *pace_plots([run])):
        assert 1 < len(plot.rows) <= 12
        assert {len(cells) for cells in plot.rows} == {len(plot.head)}


def test_runs_are_laid_over_each_other(tmp_path: Path) -> None:
    runs = [curves(tmp_path / "icl"), curves(tmp_path / "flat", rows=40, base=2.0)]
    plots = loss_plots(runs)
    assert plots[0].head == ("step", "icl", "icl, validation", "flat", "flat, validation")
    assert [plot.title for plot in plots][-1] == "Loss along the shots"
    words = Tags(training_page(runs)).words
    for expected in ("2 runs", "icl", "flat", "2.5"):
        assert expected in words


def test_the_page_loads_nothing_and_names_stay_words(tmp_path: Path) -> None:
    page = training_page([curves(tmp_path / "icl")])
    tags = Tags(page)
    assert not tags.tags & {"script", "img", "link", "iframe", "object"}
    assert all(place is not None and place.startswith("#") for place in tags.places)
    assert b"default-src &#39;none&#39;" in page
    assert EVIL in tags.words
    assert EVIL.encode() not in page


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    run = curves(tmp_path / "icl")
    assert training_page([run]) == training_page([run])


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    for number, rows in enumerate(([{"step": 1, "kind": "train", "loss": 2.0}], [{"step": 1, "kind": "train", "loss": None}])):
        folder = tmp_path / str(number)
        folder.mkdir()
        folder.joinpath("metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        write_training_page([str(folder)])
        assert b"No finite loss" in folder.joinpath("report.html").read_bytes() or not number


def test_long_runs_stay_small_on_the_page(tmp_path: Path) -> None:
    assert len(training_page([curves(tmp_path / "long", rows=5000)])) < 500_000


def test_runs_are_called_by_what_tells_them_apart() -> None:
    assert names(["runs/a/icl/", "runs/b/icl"]) == ["a/icl", "b/icl"]
    assert names(["runs/icl"]) == ["icl"]
    with pytest.raises(InputError, match="twice"):
        names(["runs/icl", "./runs/icl/"])


def curate(*words: str) -> Result:
    return CliRunner().invoke(app, ["report", *words], catch_exceptions=True)


def test_the_command_tells_training_runs_from_others(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one"), write(tmp_path / "two")
    assert is_training(one)
    assert curate(one).exit_code == 0
    assert b"Loss by source" in (tmp_path / "one" / "report.html").read_bytes()
    told = curate(one, two, "--out", str(tmp_path / "both.html"), "--json")
    assert json.loads(told.stdout)["runs"] == 2
    assert b"2 runs" in (tmp_path / "both.html").read_bytes()


def test_mistakes_are_told(tmp_path: Path) -> None:
    one, other = write(tmp_path / "one"), tmp_path / "other"
    other.mkdir()
    mixed = curate(one, str(other)).exception
    assert isinstance(mixed, InputError)
    assert "no training run" in str(mixed)
    assert isinstance(curate(one, "--out", str(tmp_path)).exception, InputError)
    assert isinstance(curate(*[write(tmp_path / f"run{at}") for at in range(7)]).exception, InputError)
