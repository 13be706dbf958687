"""Runs for the report: drawn pictures, tiny stages, episodes of every kind, and a headless Chromium."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.engine import Partition, PartWriter, Receipt, StageManifest
from curate.engine import run as run_stage
from curate.images import verify
from curate.layout import Run
from curate.schema import Episode, Image, Provenance, Shot, to_table
from curate.settings import Settings
from curate.storage import sha256

CONCEPTS = ("tabby cat", "red fox", "Äpfel & Birnen", "lighthouse", "steam engine", "蝶", "tulip", "grey heron")
FORMATS = ("multiple_choice", "open_qa", "caption")
SELECTORS = ("rices", "random", "concept")
SHOTS = (0, 1, 2, 4, 8)


class Hand:
    """A stage that hands episodes through."""

    name, version = "episodes", "test"

    def __init__(self) -> None:
        self.settings = Settings()

    def setup(self) -> None:
        pass

    def process(self, payload: list[Episode], part: PartWriter) -> None:
        part.saw(len(payload) + 1)
        part.drop("one", "no_plan_fits")
        part.tally("guard", "considered", 40)
        part.tally("guard", "exact_image", 3)
        part.table(to_table(payload, Episode))


class Maker:
    """Draws pictures once and builds episodes over them."""

    def __init__(self, run: Run, draw: Callable[..., bytes]) -> None:
        self.run, self._draw = run, draw
        self._images: dict[int, Image] = {}

    def image(self, seed: int) -> Image:
        if seed not in self._images:
            data = self._draw(seed, size=(180 + 40 * (seed % 3), 200 - 30 * (seed % 4)))
            facts = verify(data)
            ref = self.run.images.put(data, facts.extension)
            self._images[seed] = Image(ref, facts.width, facts.height, facts.phash)
        return self._images[seed]

    def shot(self, seed: int, format: str, concept: str, role: str, **more: Any) -> Shot:
        near = None if role == "query" else round(0.97 - 0.011 * (seed % 60), 4)
        question, answer = "What is in the picture?", concept
        options = (concept, "something else")
        if format == "multiple_choice":
            question, answer = f"{question}\nA: {concept}\nB: something else", "A"
        elif format == "caption":
            question, answer = "", f"A picture of one {concept}, drawn by a test."
        facts: dict[str, Any] = {
            "role": role, "similarity": near, "demonstration_id": f"demo-{seed}", "document_id": f"page-{seed // 2}",
            "images": (self.image(seed % 40),), "question": question, "answer": answer, "label": concept, "options": options,
        }  # fmt: skip
        return Shot(**{**facts, **more})

    def episode(self, number: int, **more: Any) -> Episode:
        format, selector = FORMATS[number % 3], SELECTORS[number // 3 % 3]
        shots, concept = SHOTS[number % 5], CONCEPTS[number % len(CONCEPTS)]
        roles = ("positive", "negative") if format == "multiple_choice" else ("support",)
        other = CONCEPTS[(number + 3) % len(CONCEPTS)]
        turns = tuple(
            self.shot(7 * number + k, format, (concept, other)[k % len(roles)], roles[k % len(roles)]) for k in range(shots)
        )
        facts: dict[str, Any] = {
            "id": f"episode-{number:05d}", "task": "category", "concept": concept, "format": format, "demonstrations": turns,
            "query": self.shot(7 * number + 50, format, concept, "query"), "selector": selector, "order": "random",
            "settings": "0" * 64, "seed": 7, "source": "stamps", "licence": "CC0-1.0",
            "provenance": Provenance("stamps", f"animals/{number}.png", ("import:0123456789ab", "episodes:abcdef012345")),
        }  # fmt: skip
        return Episode(**{**facts, **more})

    def build(self, episodes: list[Episode], per_part: int = 50) -> Run:
        parts = [episodes[i : i + per_part] for i in range(0, len(episodes), per_part)]
        run_stage(Hand(), [Partition(sha256(repr(part).encode()), part) for part in parts], self.run.episodes)
        return self.run

    def stage(self, folder: str, seen: int, made: int, dropped: dict[str, int], **more: Any) -> StageManifest:
        """A finished stage without files."""
        rejected = more.pop("rejected", {})
        counts = {"in": seen, "out": made, "dropped": sum(dropped.values()), "rejected": sum(rejected.values())}
        name = folder.partition("/")[0]
        facts = {"settings": {"threshold": 0.3}, "inputs": {"pages": "ab" * 32}, "files": {}, "counts": counts, **more}
        manifest = StageManifest(stage=name, version="0.1/1", dropped=dropped, rejected=rejected, **facts)
        manifest.save(self.run.root / folder)
        return manifest

    def stages(self) -> None:
        """Everything before the episodes, and the shards."""
        pages = {"bad_encoding": 4, "empty": 1}
        self.stage("documents/manual", 685, 540, {"too_few_words": 110, "repetition": 30}, rejected=pages)
        self.stage("demonstrations/manual", 1679, 1210, {"no_caption": 400, "below_floor": 69})
        self.stage("demonstrations/stamps", 950, 947, {"no_caption": 1}, rejected={"image_truncated": 2})
        self.stage("embeddings", 2157, 2157, {})
        tars = {"part-00000.tar": 41_000_000, "part-00001.tar": 9_300_000}
        self.stage("shards", 300, 300, {}, sizes=tars, files=dict.fromkeys(tars, "cd" * 32))


def score(rule: str, copies: str, share: float, judged: bool = True, passed: bool = True) -> dict[str, Any]:
    low, high = share - 0.04, share + 0.04
    return {"rule": rule, "copies": copies, "accuracy": share, "low": low, "high": high, "judged": judged, "passed": passed}


def lint_of(run: Run) -> dict[str, Any]:
    """A linter's file as curate.episodes.lint writes it, with one shortcut."""
    rules = [score(rule, copies, 0.5) for copies in ("answer", "label") for rule in ("copy-first", "copy-last", "majority")]
    scores = [score("constant", "answer", 0.51), *rules, score("copy-nearest", "label", 0.81, judged=False)]
    choice = {"format": "multiple_choice", "shots": 2, "ways": 2, "episodes": 60, "chance": 0.5, "scores": scores}
    choice |= {"right_options": [29, 31], "positive_positions": [30, 30], "independence": 0.61, "distinct_answers": 2}
    caught = [score("copy-last", "answer", 0.44, passed=False), score("majority", "answer", 0.13)]
    open_qa = {"format": "open_qa", "shots": 4, "ways": 0, "episodes": 60, "chance": 0.12, "scores": caught}
    open_qa |= {"right_options": [], "positive_positions": [], "independence": None, "distinct_answers": 8}
    return {
        "passed": False, "episodes": 300, "settings": {"margin": 0.05}, "cells": [choice, open_qa],
        "leaks": {"same_image": 0, "same_document": 0}, "duplicates": {"episodes": 0},
        "failures": ["open_qa, 4 shots, no options: copy-last of the answer is right in 44.0%"],
        "built": StageManifest.load(run.episodes).digest,
    }  # fmt: skip


@pytest.fixture
def maker(tmp_path: Path, picture: Callable[..., bytes]) -> Maker:
    """A run that is still empty."""
    return Maker(Run.at(tmp_path / "run"), picture)


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory, picture: Callable[..., bytes]) -> Run:
    """A run with every stage, 300 episodes and a linter's file. Read only."""
    maker = Maker(Run.at(tmp_path_factory.mktemp("whole") / "run"), picture)
    maker.stages()
    run = maker.build([maker.episode(number) for number in range(300)])
    run.episodes.write("lint.json", json.dumps(lint_of(run)).encode())
    return run


class Listener:
    """A Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self, stage: str, total: int, done: int) -> None:
        self.told.append(f"start {stage} {done}/{total}")

    def advance(self, receipt: Receipt) -> None:
        self.told.append(f"advance {receipt.name}")

    def finish(self, manifest: StageManifest) -> None:
        self.told.append(f"finish {manifest.stage} {manifest.counts['in']} {manifest.counts['out']}")


@pytest.fixture
def listener() -> Listener:
    return Listener()


FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,900",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium under selenium, skipped with a reason where one of its parts is missing."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip(f"no {'chromium' if not browser else 'chromedriver'} on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as window:
        yield window
