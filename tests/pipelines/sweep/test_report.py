import csv
import io
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curate.errors import InputError, IntegrityError
from pipelines.cli import app
from pipelines.sweep import extending
from pipelines.sweep.design import read_design
from pipelines.sweep.fitted import fit_folder
from pipelines.sweep.report import write_sweep_report
from pipelines.sweep.report.targets import _undominated
from pipelines.sweep.report.ternary import Field
from pipelines.sweep.report.wording import between, chance, signed
from pipelines.sweep.space import Point
from tests.pipelines.sweep.reported import write_sweep_folder

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)>\" ' & {{ 7*7 }}"


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep through the real fit, and its report. Read only."""
    out = tmp_path_factory.mktemp("sweep") / "first"
    write_sweep_folder(out)
    fit_folder(out)
    write_sweep_report(out)
    return out


def page_of(out: Path) -> str:
    write_sweep_report(out)
    return (out / "report.html").read_text()


def table_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_the_verdict_comes_first_and_everything_has_its_place(fitted: Path) -> None:
    page, fit = (fitted / "report.html").read_text(), json.loads((fitted / "fit.json").read_text())
    title = "A better mix than the prior" if fit["proposal"]["significant"] else "No significant difference"
    assert re.search("<h1>(.*?)</h1>", page)[1] == title  # type: ignore[index]
    assert page.index("<h1>") < page.index("noise floor") < page.index('id="where"')
    ids = ("mix", "where", "effects", "targets", "front", "trials", "cost", "next")
    assert all(f'id="{name}"' in page for name in ids)
    assert "probability" in page
    assert "90\u00a0% interval" in page
    assert page.count('class="ternary"') == 4  # source and format, each with how sure it is
    assert "Over replay" in page
    assert "order flat" in page
    assert "on the front" in page


def test_the_page_needs_nothing_else(fitted: Path) -> None:
    page = (fitted / "report.html").read_text()
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "default-src 'none'" in page.replace("&#39;", "'")
    assert str(fitted) not in page


def test_equal_sweeps_give_equal_pages(fitted: Path) -> None:
    before = {name: (fitted / name).read_bytes() for name in ("report.html", "ratios.csv", "metrics.csv")}
    write_sweep_report(fitted)
    assert before == {name: (fitted / name).read_bytes() for name in before}


def test_every_trial_is_told_with_its_state_and_reason(fitted: Path) -> None:
    page = (fitted / "report.html").read_text()
    assert all(f"<code>{trial.id}</code>" in page for trial in read_design(fitted).trials)
    assert "1 trial failed and is left out of the fit" in page
    assert "OutOfMemoryError: CUDA out of memory" in page
    assert "3 runs of it" in page
    assert "over the budget of 4h" in page


def test_olmix_can_load_the_tables(fitted: Path) -> None:
    """Its loader joins on run_id, takes all but run_id and name for domains and wants them to sum to 1."""
    ratios, metrics = table_of(fitted / "ratios.csv"), table_of(fitted / "metrics.csv")
    assert [row["run_id"] for row in ratios] == [row["run_id"] for row in metrics]
    assert len(ratios) == 26
    assert list(ratios[0]) == ["run_id", "name", "emoji", "manuals", "web-pages", "replay"]
    for file in ("ratios.csv", "ratios-format.csv", "ratios-replay.csv"):
        for row in table_of(fitted / file):
            assert sum(float(value) for name, value in row.items() if name not in ("run_id", "name")) == pytest.approx(1)
    assert ratios[0]["name"] == "prior seed 0 order=curriculum"
    assert float(ratios[0]["emoji"]) == pytest.approx(0.5 * 0.8)
    result = json.loads((fitted / "trials" / metrics[0]["run_id"] / "result.json").read_text())
    told = result["targets"]["gain/concepts/2"]["value"]
    assert float(metrics[0]["gain/concepts/2"]) == pytest.approx(told)


def test_hostile_names_are_shown_and_do_nothing(tmp_path: Path) -> None:
    write_sweep_folder(tmp_path, names=(HOSTILE, "=cmd|' /C calc'!A0", "name"), error=HOSTILE)
    fit_folder(tmp_path)
    page = page_of(tmp_path)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "{{ 7*7 }}" in page
    assert list(table_of(tmp_path / "ratios.csv")[0])[2:] == [HOSTILE, "'=cmd|' /C calc'!A0", "source:name", "replay"]


def test_a_sweep_that_was_not_run_says_so(tmp_path: Path) -> None:
    write_sweep_folder(tmp_path, failed=-1, done=0)
    page = page_of(tmp_path)
    assert "No results yet" in page
    assert "curate sweep run" in page
    assert "27 waiting of 27 trials" in page
    assert table_of(tmp_path / "metrics.csv") == []


def test_a_sweep_without_a_fit_or_not_at_its_end_says_so(tmp_path: Path) -> None:
    write_sweep_folder(tmp_path, done=9, failed=5)
    page = page_of(tmp_path)
    assert "Not fitted yet" in page
    assert "18 waiting of 27 trials" in page
    assert "1 trial failed" in page
    assert "curate sweep fit" in page
    assert 'id="effects"' not in page
    assert 'id="front"' in page


def test_one_target_alone_and_no_skill_are_told(tmp_path: Path) -> None:
    write_sweep_folder(tmp_path, only="gain/concepts/2", choice=False)
    fit_folder(tmp_path)
    page = page_of(tmp_path)
    assert "one target only" in page
    assert "Forgetting is not known" in page
    assert "Target by target" not in page


def test_more_than_three_components_have_pairs(tmp_path: Path) -> None:
    write_sweep_folder(tmp_path, names=("a", "b", "c", "d"), only="gain/concepts/2", choice=False)
    fit_folder(tmp_path)
    fit = json.loads((tmp_path / "fit.json").read_text())
    assert len(fit["objective"]["pairs"]) == 6
    for one in fit["objective"]["pairs"]:
        assert all(low <= mean <= high for low, mean, high in zip(one["low"], one["mean"], one["high"], strict=True))
    page = page_of(tmp_path)
    assert "two at a time trade shares" in page
    assert "The three of 4 that matter most" in page


def test_a_fit_older_than_the_trials_is_told(fitted: Path, tmp_path: Path) -> None:
    write_sweep_folder(tmp_path, done=20)
    (tmp_path / "fit.json").write_bytes((fitted / "fit.json").read_bytes())
    assert "The trials have changed since the fit" in page_of(tmp_path)
    (tmp_path / "fit.json").write_text("{}")
    with pytest.raises(IntegrityError, match="fit the sweep again"):
        write_sweep_report(tmp_path)


def test_the_command_names_what_it_wrote(fitted: Path, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["sweep", "report", str(fitted), "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert (told["trials"], told["results"], told["fitted"]) == (27, 26, True)
    assert [Path(name).name for name in told["files"]][:3] == ["report.html", "ratios.csv", "metrics.csv"]
    with pytest.raises(InputError, match="holds no sweep"):
        write_sweep_report(tmp_path)


def test_trials_are_added_as_the_fit_proposes(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = extending.wanted(fitted, 2, 1, 3)
    assert [kind for kind, _, _ in rows] == ["next"] * 2 + ["confirm"] * 6
    assert [seed for _, _, seed in rows] == [0, 0, 3, 4, 5, 3, 4, 5]
    asked: list[tuple[Sequence[Point], str, Sequence[int]]] = []
    design = read_design(fitted)

    def with_trials(folder: Path, points: Sequence[Point], kind: str, seeds: Sequence[int]) -> object:
        asked.append((points, kind, seeds))
        return design

    monkeypatch.setattr("pipelines.sweep.designing.with_trials", with_trials)
    monkeypatch.setattr(extending, "write_design", lambda folder, design: None)
    extending.extend(fitted, rows)
    assert [(kind, list(seeds)) for _, kind, seeds in asked] == [(kind, [seed]) for kind, _, seed in rows]
    before = (fitted / "design.json").read_bytes()
    ran = CliRunner().invoke(app, ["sweep", "design", str(fitted), "--next", "1", "--dry-run", "--json"])
    assert ran.exit_code == 0, ran.output
    assert len(json.loads(ran.stdout)["added"]) == 1
    assert (fitted / "design.json").read_bytes() == before


def test_fresh_seeds_have_a_place_of_their_own(fitted: Path, tmp_path: Path) -> None:
    assert "Fresh seeds alone" not in (fitted / "report.html").read_text()
    out = tmp_path / "confirmed"
    shutil.copytree(fitted, out)
    fit = json.loads((out / "fit.json").read_text())
    mix = {"shares": fit["proposal"]["shares"], "choices": fit["proposal"]["choices"], "mix": "a"}
    fit["confirmed"] = [{**mix, "runs": 3, "prior_runs": 3, "gain": 0.126, "low": 0.113, "high": 0.139, "p": 0.0001}]
    (out / "fit.json").write_text(json.dumps(fit))
    page = page_of(out)
    assert "3 fresh runs, the prior 3" in page
    assert page.index("Fresh seeds alone, which had no part in the choice, say +0.126") < page.index('id="mix"')
    assert "+0.126" in page
    del fit["confirmed"]  # as older fits
    (out / "fit.json").write_text(json.dumps(fit))
    assert "Fresh seeds alone" not in page_of(out)


def test_the_front_is_what_nothing_beats_in_both() -> None:
    assert _undominated([(1, 1), (2, 0), (0, 2), (0, 1), (1, 1)]) == [True, True, True, False, True]


def test_figures_are_said_plainly() -> None:
    assert (signed(-0.01234), signed(0.0), signed(0.00001, 0.2)) == ("−0.0123", "0", "0")
    assert between(-0.0123, 1.2) == "−0.01 to +1.2"
    assert (chance(0.9999), chance(0.5)) == ("> 99.9\u00a0%", "50\u00a0%")


def test_triangles_fill_the_grid_once() -> None:
    points = [[a / 12, b / 12, (12 - a - b) / 12, a, 1.0] for a in range(13) for b in range(13 - a)]
    field = Field.of({"points": points, "components": ["a", "b", "c"]}, 3)
    assert len(list(field.triangles())) == 144
