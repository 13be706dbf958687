"""One pass counts all episodes and picks an even sample, whatever the parts."""

import dataclasses
import importlib
import math
import re
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.layout import Run
from curate.report import ReportSettings
from curate.report.plots import quantile, shots_plot, similarity_plot
from curate.report.survey import BIN, BINS, chosen, episodes_at, survey

survey_module = importlib.import_module("curate.report.survey")


def ids(run: Run, settings: ReportSettings) -> list[str]:
    return [episode.id for episode in episodes_at(run, chosen(survey(run, settings), settings))]


def test_counts_are_those_of_all_episodes(whole_run: Run) -> None:
    found, episodes = survey(whole_run, ReportSettings(max_episodes=3)), list(whole_run.built_episodes())
    assert found.episodes == len(episodes)
    assert found.counts["concept"] == Counter(episode.concept for episode in episodes)
    assert found.shots == Counter((episode.format, len(episode.demonstrations)) for episode in episodes)
    near = [shot.similarity for episode in episodes for shot in episode.demonstrations if shot.role == "negative"]
    expected = Counter(min(BINS - 1, math.floor((cosine + 1 + 1e-9) / BIN)) for cosine in near if cosine is not None)
    assert found.cosine_counts(role="negative") == [expected[i] for i in range(BINS)]


def test_similarities_that_are_missing_or_not_numbers_are_counted_apart(maker: Any) -> None:
    odd = [None, math.nan, math.inf, 1.0000001, -1.0, 0.5]
    turns = tuple(dataclasses.replace(maker.shot(i, "open_qa", "x", "support"), similarity=s) for i, s in enumerate(odd))
    found = survey(maker.build([maker.episode(1, demonstrations=turns)]), ReportSettings())
    assert found.without_similarity == 3
    counts = found.cosine_counts()
    assert (counts[0], counts[75], counts[-1], sum(counts)) == (1, 1, 1, 3)


def test_zero_shot_episodes_alone_have_no_similarity_plot(maker: Any) -> None:
    found = survey(maker.build([maker.episode(0), maker.episode(5)]), ReportSettings())
    assert similarity_plot(found, 0.97) is None
    assert shots_plot(found).rows == [["0", "1", "1", "2"]]


def test_sample_does_not_depend_on_how_the_parts_are_cut(tmp_path: Path, picture: Callable[..., bytes], maker: Any) -> None:
    episodes, settings = [maker.episode(number) for number in range(120)], ReportSettings(max_episodes=50)
    other = type(maker)(Run.at(tmp_path / "other"), picture)
    assert ids(maker.build(episodes, per_part=7), settings) == ids(other.build(episodes, per_part=120), settings)


def test_a_rare_kind_is_shown_beside_frequent_ones(maker: Any) -> None:
    common = [maker.episode(15 * number) for number in range(200)]
    rare = [maker.episode(3000 + number, format="classification") for number in range(2)]
    shown = ids(maker.build(common + rare), ReportSettings(max_episodes=9))
    assert len(shown) == len(set(shown)) == 9
    assert {episode.id for episode in rare} <= set(shown)


@pytest.mark.parametrize("most", [0, 1, 299, 300, 5000])
def test_sample_has_as_many_as_asked_for_where_there_are_as_many(whole_run: Run, most: int) -> None:
    shown = ids(whole_run, ReportSettings(max_episodes=most))
    assert len(set(shown)) == len(shown) == min(most, 300)


@given(st.lists(st.integers(0, 50), min_size=BINS, max_size=BINS).filter(any), st.floats(0, 1))
def test_a_quantile_lies_in_an_occupied_bin(counts: list[int], share: float) -> None:
    value = quantile(counts, share)
    bins = [i for i, count in enumerate(counts) if count]
    assert any(-1 + i * BIN - 1e-6 <= value <= -1 + (i + 1) * BIN + 1e-6 for i in bins)


def test_one_part_is_in_memory_at_a_time(whole_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    most, read, made = 0, survey_module._episodes, list[weakref.ref[Any]]()

    def watched(run: Run, name: str) -> Any:
        nonlocal most
        most = max(most, sum(table() is not None for table in made))
        table = read(run, name)
        made.append(weakref.ref(table))
        return table

    monkeypatch.setattr(survey_module, "_episodes", watched)
    ids(whole_run, ReportSettings())
    assert most == 1  # the part before, until its name is taken by the next


def test_a_column_ends_at_the_guard_unless_something_lies_beyond(maker: Any) -> None:
    for number, highest in enumerate((0.965, 0.975)):
        turns = tuple(maker.shot(i, "open_qa", "x", "support", similarity=s) for i, s in enumerate((0.9, highest)))
        found = survey(maker.build([maker.episode(number, demonstrations=turns)]), ReportSettings())
        plot = similarity_plot(found, 0.97)
        assert plot
        right = [
            float(x) + float(wide) for x, wide in re.findall(r'<rect class="s0" x="([\d.]+)%" width="([\d.]+)%"', plot.picture)
        ]
        mark = re.search(r'class="mark" x1="([\d.]+)%"', plot.picture)
        assert mark
        assert (right[-1] > float(mark[1])) == (highest > 0.97)
