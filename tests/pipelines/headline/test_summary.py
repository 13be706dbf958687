"""The summary: gains over the strongest reference, seed by seed and question by question, and what was promised."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.errors import InputError
from curate.evaluations import (
    FORMAT,
    Answer,
    EvaluatedBench,
    EvaluationManifest,
    Row,
    answers_name,
    write_manifest,
    write_rows,
)
from curate.storage import Folder
from pipelines.headline.scores import read_scores
from pipelines.headline.settings import Experiment, load_experiment
from pipelines.headline.summary import Summary, summarise
from pipelines.headline.telling import markdown, shown, write_summary
from pipelines.headline.trained import trained_stages

RECIPE = Path(__file__).parents[3] / "recipes" / "headline" / "headline.yaml"
CLAIM = "{tuned: coherent, references: [baseline, more-single], benches: [emoji-concepts, stamps-classes],"
CLAIM += "unseen: [stamps-classes], shots: [1, 2], skill: [emoji-names], siblings: [emoji-concepts], goals: ["
CLAIM += "{figure: average_gain, at_least: 25}, {figure: skill_change, at_least: -2},"
CLAIM += "{figure: shuffled_over_chance, at_least: -5, at_most: 5}, {figure: swapped_over_chance, at_most: 5}]}"
GROUPS = 40

Score = Callable[[str, int, str, str, int], float]
"""Stage, seed, benchmark, condition, shots -> accuracy; the first questions are the ones that are right."""


@pytest.fixture
def experiment() -> Experiment:
    return load_experiment(RECIPE, [], ["seeds=[0, 1]", f"claim={CLAIM}"])


def evaluate(out: Path, label: str, cells: dict[tuple[str, str, int], float], knn: float = 0.8, asked: int = GROUPS) -> None:
    """An evaluation of a model: accuracy by (benchmark, condition, shots), of which the first questions were asked."""
    folder = Folder.of(out / "evaluations" / label)
    names = sorted({bench for bench, _, _ in cells})
    benches = tuple(EvaluatedBench(name, "d", "1", "", "choice", "choice", "", "") for name in names)
    write_manifest(folder, EvaluationManifest(FORMAT, label, {}, {}, benches))
    rows = []
    for (bench, condition, shots), score in cells.items():
        answers = [
            Answer(f"{g}/{i}", str(g), "A", float(g < round(score * GROUPS)), (0.0, -1.0))
            for g in range(asked)
            for i in range(2)
        ]
        folder.write(answers_name(bench, condition, shots), "".join(answer.line() for answer in answers).encode())
        baselines = {"knn": knn} if condition == "full" else {}
        rows.append(Row(bench, "d", "", "choice", shots, condition, 2 * GROUPS, GROUPS, score, 0, 1, score, 0.5, baselines))
    write_rows(folder, rows)


def lay(out: Path, baseline: float = 0.5, single: float = 0.5, tuned: float = 0.85, skill: float = 0.6) -> None:
    """Two seeds of three models; the second seed is .05 better."""
    for seed in (0, 1):
        for stage, score in (("baseline", baseline), ("more-single", single), ("coherent", tuned)):
            cells = {
                (bench, "full", shots): score + 0.05 * seed
                for bench in ("emoji-concepts", "stamps-classes")
                for shots in (1, 2)
            }
            cells |= {("emoji-names", "none", 0): skill if stage == "coherent" else 0.6}
            if stage == "coherent":
                cells |= {("emoji-concepts", "shuffled", 1): 0.5, ("stamps-classes", "swapped", 1): 0.7}
            evaluate(out, f"{stage}-{seed}", cells)


def summary(experiment: Experiment, out: Path) -> Summary:
    return summarise(read_scores(experiment, out))


def test_a_gain_is_over_the_strongest_reference_of_that_benchmark(experiment: Experiment, tmp_path: Path) -> None:
    lay(tmp_path, baseline=0.45, single=0.55)
    found = summary(experiment, tmp_path)
    assert [gain.reference for gain in found.gains] == ["more-single", "more-single"]
    assert [gain.gain.mean for gain in found.gains] == pytest.approx([30, 30])
    assert found.gains[0].tuned.mean == pytest.approx(87.5)
    assert found.gains[0].gain.low < 30 < found.gains[0].gain.high
    assert found.average is not None
    assert found.average.mean == pytest.approx(30)
    assert found.unseen is not None
    assert [gain.unseen for gain in found.gains] == [False, True]


def test_figures_and_promises(experiment: Experiment, tmp_path: Path) -> None:
    lay(tmp_path, skill=0.55)
    found = summary(experiment, tmp_path)
    figures = {name: round(value, 6) for name, value in found.figures.items()}
    assert figures == {
        "average_gain": 35, "best_gain": 35, "unseen_gain": 35, "intervals_apart": 100, "skill_change": -5,
        "over_knn": 7.5, "siblings_over_knn": 7.5, "shuffled_over_chance": 0, "swapped_over_chance": 20,
    }  # fmt: skip
    assert [kept.kept for kept in found.goals] == [True, False, True, False]


def test_models_stand_beside_each_other_on_the_questions_that_all_were_asked(experiment: Experiment, tmp_path: Path) -> None:
    """The tuned stage is right in the first 34 of 40 questions, and in 20 of the 20 that the arm was asked too."""
    lay(tmp_path)
    benches = ("emoji-concepts", "stamps-classes")
    for seed in (0, 1):
        cells = {(bench, "full", shots): 0.4 for bench in benches for shots in (1, 2)}
        evaluate(tmp_path, f"flat-{seed}", cells, asked=20)
    found = summary(experiment, tmp_path)
    assert found.gains[0].tuned.mean == pytest.approx(87.5)
    assert found.stages["coherent"] == pytest.approx(dict.fromkeys(benches, 100))
    assert found.stages["flat"] == pytest.approx(dict.fromkeys(benches, 80))
    assert found.behind["flat"].mean == pytest.approx(20)
    assert "coherent" not in found.behind
    assert f"| 80.0 | {shown(found.behind['flat'], signed=True)} |" in markdown(found, experiment)


def test_what_is_not_measured_is_named_and_promises_nothing(experiment: Experiment, tmp_path: Path) -> None:
    lay(tmp_path)
    for label in ("coherent-1", "more-single-1"):
        evaluate(tmp_path, label, {("emoji-concepts", "full", shots): 0.6 for shots in (1, 2)})
    found = summary(experiment, tmp_path)
    assert found.missing == ["stamps-classes"]
    assert [gain.bench for gain in found.gains] == ["emoji-concepts"]
    assert found.unseen is None
    assert "unseen_gain" not in found.figures
    assert "Not measured with all seeds yet: stamps-classes" in markdown(found, experiment)


def test_the_page_and_the_file_say_the_same(experiment: Experiment, tmp_path: Path) -> None:
    lay(tmp_path)
    found = summary(experiment, tmp_path)
    text = write_summary(found, experiment, tmp_path).read_text()
    plain = json.loads((tmp_path / "summary.json").read_text())
    assert plain["average"]["mean"] == pytest.approx(35)
    assert "| **mean** |" in text
    assert "**+35.0 [" in text
    assert "coherent: coherent episodes, curriculum, replay" in text
    assert "| average gain | >= 25 | 35.0 | yes |" in text
    assert "| swapped over chance | <= 5 | 20.0 | **no** |" in text


def test_no_evaluation_is_told(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no evaluation yet"):
        read_scores(experiment, tmp_path)


def test_pictures_and_hours_are_summed_over_the_rows_of_a_log(experiment: Experiment, tmp_path: Path) -> None:
    rows = [
        {"step": 1, "kind": "train", "step_s": 2.0, "images_per_s": 5.0},
        {"step": 3, "kind": "validation", "loss": 1.0},
        {"step": 5, "kind": "train", "step_s": 3.0, "images_per_s": 4.0},
    ]
    place = tmp_path / "runs" / "coherent-0"
    place.mkdir(parents=True)
    (place / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = trained_stages(experiment, tmp_path)
    assert list(found) == ["coherent"]
    assert (found["coherent"].steps, found["coherent"].pictures) == (5, 10 + 48)
    assert found["coherent"].hours == pytest.approx(14 / 3600)
