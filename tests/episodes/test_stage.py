"""Episodes as a stage: the same bytes on any number of workers, resumable, and the command that lints them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from curate.engine import Partition, PartWriter, StageManifest, run
from curate.episodes import EpisodeSettings, GuardSettings, Plan, build_episodes, lint_run
from curate.errors import ConfigError, InputError
from curate.layout import Run
from curate.schema import Demonstration, to_table
from curate.settings import Settings, build
from pipelines.cli import app


class Nothing(Settings):
    pass


class Demos:
    """Demonstrations as another room would leave them."""

    name, version = "demonstrations", "1"

    def __init__(self) -> None:
        self.settings: Settings = Nothing()

    def setup(self) -> None:
        pass

    def process(self, payload: list[Demonstration], part: PartWriter) -> None:
        part.saw(len(payload))
        part.table(to_table(payload, Demonstration))


class Embeddings(Demos):
    """Vectors as `curate embed` leaves them."""

    name = "embeddings"

    def process(self, payload: tuple[list[str], list[str], np.ndarray[Any, Any]], part: PartWriter) -> None:  # type: ignore[override]
        import io

        part.saw(len(payload[0]))
        part.table(pa.table({"demonstration_id": payload[0], "image_ref": payload[1]}))
        out = io.BytesIO()
        np.save(out, payload[2].astype(np.float16))
        part.file("image.npy", out.getvalue())


SETTINGS = EpisodeSettings(
    partition=64,
    limit=250,
    per_query=2,
    episodes=[
        Plan(format="multiple_choice", shots=[1, 2], ways=[2, 3]),
        Plan(format="open_qa", selector="random", shots={4: 1}),
        Plan(format="classification", selector="concept", shots=[2], labels="pseudo"),
    ],
)


@pytest.fixture
def here(tmp_path: Path, made: Any) -> Run:
    pool = made.make_pool(300)
    where = Run.at(tmp_path / "run")
    from curate.schema import from_table

    demos = from_table(pool.table, Demonstration)
    run(Demos(), [Partition("a", demos[:200]), Partition("b", demos[200:])], where.root / "demonstrations" / "made")
    payload = ([d.id for d in demos], [d.images[0].ref for d in demos], pool.vectors)
    run(Embeddings(), [Partition("a", payload)], where.embeddings)
    return where


def contents(folder: Path) -> dict[str, bytes]:
    kept = [p for p in folder.rglob("*") if p.is_file() and p.name not in (".lock", "timings.jsonl")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in kept}


def test_the_same_bytes_for_one_worker_and_four(here: Run) -> None:
    one = build_episodes(here, SETTINGS, workers=1)
    bytes_of_one = contents(here.episodes.local())
    for path in sorted(here.episodes.local().rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    four = build_episodes(here, SETTINGS, workers=4)
    assert one.digest == four.digest
    assert bytes_of_one == contents(here.episodes.local())


def test_everything_that_came_in_is_an_episode_or_has_a_reason(here: Run) -> None:
    manifest = build_episodes(here, SETTINGS)
    assert manifest.counts["in"] == 500 == manifest.counts["out"] + manifest.counts["dropped"]
    assert manifest.counts["out"] == sum(manifest.tallies["cell"].values()) == len(list(here.built_episodes()))
    assert manifest.tallies["guard"]["considered"] > manifest.tallies["guard"]["itself"] > 0
    assert set(manifest.inputs) == {"demonstrations/made", "embeddings", "templates"}


def test_lineage_names_embeddings_and_this_stage(here: Run) -> None:
    manifest = build_episodes(here, SETTINGS)
    embedded = StageManifest.load(here.embeddings)
    for episode in here.built_episodes():
        assert episode.provenance.lineage == ("import:0123", embedded.lineage, manifest.lineage)
        assert len(episode.settings) == 16


def test_a_second_run_does_nothing_and_another_wording_everything(here: Run, tmp_path: Path) -> None:
    first = build_episodes(here, SETTINGS)
    log = here.episodes.local("timings.jsonl")
    before = log.read_text()
    assert build_episodes(here, SETTINGS).digest == first.digest
    assert log.read_text() == before
    (tmp_path / "open_qa.yaml").write_text('- turn: "Q: {question}"\n')
    worded = build_episodes(here, SETTINGS.model_copy(update={"templates": str(tmp_path)}))
    assert worded.digest != first.digest
    assert str(tmp_path) not in json.dumps(vars(worded))
    asked = {e.query.question for e in here.built_episodes() if e.format == "open_qa"}
    assert asked == {"Q: What is it?"}


def test_an_index_gives_what_exact_search_gives(here: Run) -> None:
    from curate.retrieval import IndexSettings, build_index

    build_episodes(here, SETTINGS)
    without = [e.demonstrations for e in here.built_episodes()]
    build_index(here, IndexSettings(), 1, None)  # type: ignore[arg-type]
    manifest = build_episodes(here, SETTINGS)
    assert "index" in manifest.inputs
    assert [e.demonstrations for e in here.built_episodes()] == without


def test_vectors_of_other_demonstrations_are_told_and_not_half_used(here: Run, made: Any) -> None:
    manifest, known = StageManifest.load(here.embeddings), StageManifest.load(here.root / "demonstrations" / "made").digest
    manifest.inputs = {"made": known, "encoder": "weights"}
    manifest.save(here.embeddings)
    build_episodes(here, SETTINGS)
    more = [made.demonstration(i) for i in range(9000, 9005)]
    run(Demos(), [Partition("more", more)], here.root / "demonstrations" / "more")
    with pytest.raises(InputError, match="run curate embed and curate index again"):
        build_episodes(here, SETTINGS)


def test_without_embeddings_only_what_needs_none_can_be_built(here: Run) -> None:
    for path in sorted(here.embeddings.local().rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    with pytest.raises(InputError, match="run curate embed first"):
        build_episodes(here, SETTINGS)
    plans = [Plan(format="open_qa", selector="random", shots=[2])]
    build_episodes(here, EpisodeSettings(episodes=plans, guard=GuardSettings(cosine=None), limit=50))
    assert all(shot.similarity is None for e in here.built_episodes() for shot in e.demonstrations)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"format": "multiple_choise"}, "did you mean 'multiple_choice'"),
        ({"format": "caption", "selector": "rise"}, "did you mean 'rices'"),
        ({"format": "caption", "order": "similar"}, "no order is called"),
        ({"format": "classification", "shots": [3], "ways": 2}, "multiple of the ways"),
        ({"format": "classification", "shots": [0], "labels": "pseudo"}, "made-up labels need demonstrations"),
    ],
)
def test_plans_that_cannot_be_are_refused_before_any_work(tmp_path: Path, plan: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_episodes(Run.at(tmp_path), EpisodeSettings(episodes=[Plan(**plan)]))


def test_faulty_settings_are_one_line(tmp_path: Path) -> None:
    for data in ({"episodes": []}, {"episodes": [{"format": "caption", "shots": []}]}, {"guard": {"cosin": 1}}):
        with pytest.raises(ConfigError):
            build(EpisodeSettings, data)
    with pytest.raises(ConfigError, match="two plans make caption"):
        build_episodes(Run.at(tmp_path), EpisodeSettings(episodes=[Plan(format="caption"), Plan(format="caption", share=2)]))


def test_the_command_writes_a_report_and_exits_0_on_sound_episodes(here: Run) -> None:
    build_episodes(here, SETTINGS)
    result = CliRunner().invoke(app, ["lint-episodes", here.root.uri, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["passed"]
    stored = here.episodes.read("lint.json")
    assert json.loads(stored) == report
    lint_run(here)
    assert here.episodes.read("lint.json") == stored


def test_the_command_fails_where_a_shortcut_is_over_the_margin(here: Run) -> None:
    from curate.errors import QualityError

    plans = [Plan(format="open_qa", selector="rices", shots=[4], answers="free")]
    build_episodes(here, EpisodeSettings(episodes=plans))
    result = CliRunner().invoke(app, ["lint-episodes", here.root.uri])
    assert isinstance(result.exception, QualityError)
    assert "majority (answer)" in str(result.exception) or "copy-" in str(result.exception)
    assert CliRunner().invoke(app, ["lint-episodes", here.root.uri, "--margin", "1"]).exit_code == 0
