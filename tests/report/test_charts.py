"""Plots are to scale, labelled with round numbers, and nothing in a label is markup."""

import re

from hypothesis import given
from hypothesis import strategies as st

from curate.report.charts import (
    HEIGHT,
    Axis,
    Column,
    Tick,
    Whisker,
    against,
    compact,
    forest,
    histogram,
    nice_ticks,
    number,
    share_bar,
    whisker,
)


@given(st.floats(0, 1e12))
def test_ticks_are_round_reach_the_highest_value_and_are_few(highest: float) -> None:
    ticks = nice_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest
    assert 2 <= len(ticks) <= 6
    assert str(int(ticks[1])).rstrip("0") in ("1", "2", "5")


def test_heights_and_widths_are_to_scale() -> None:
    drawn = histogram([Column(0, 1, [10, 30], "a"), Column(1, 2, [0, 20], "b")], [Tick(1, "one")], "x", "y")
    boxes = re.findall(r'<rect class="(s\d)" x="([\d.]+)%" width="([\d.]+)%" y="([\d.]+)" height="([\d.]+)"', drawn)
    heights = [(series, float(tall)) for series, _, _, _, tall in boxes]
    assert heights == [("s0", HEIGHT / 4), ("s1", 3 * HEIGHT / 4), ("s1", HEIGHT / 2)]
    assert float(boxes[1][3]) + float(boxes[1][4]) == float(boxes[0][3])


def test_labels_are_text() -> None:
    bad = '"><script>x</script>'
    drawn = histogram([Column(0, 1, [1], bad)], [Tick(0, bad)], bad, bad, [Tick(0.5, bad)])
    drawn += share_bar([("kept", 1, bad)]) + whisker(Whisker(0.5, 0.4, 0.6, 0.5, True, False, bad))
    assert "<script" not in drawn
    assert drawn.count("&#34;&gt;&lt;script&gt;") == 10


@given(st.floats(-1e6, 1e6))
def test_coordinates_are_short_and_never_in_powers_of_ten(value: float) -> None:
    assert re.fullmatch(r"-?\d+(\.\d{1,2})?", number(value))


def test_axis_labels_are_short() -> None:
    assert [compact(v) for v in (0, 250, 1000, 12_500, 2e6)] == ["0", "250", "1k", "12.5k", "2M"]


def test_intervals_stand_at_their_distance_from_chance_and_are_cut_at_the_ends() -> None:
    axis = Axis(-0.2, 0.2, [], [0.05])
    near = Whisker(0.55, 0.5, 0.6, 0.5, True, False, "near")
    far = Whisker(0.0, 0.0, 0.35, 0.5, True, True, "far")
    drawn = forest([near, far], axis)
    lines = re.findall(r'class="interval ?(\w*)" x1="([\d.]+)%" x2="([\d.]+)%"', drawn)
    assert lines == [("", "50", "75"), ("bad", "0", "12.5")]
    assert re.findall(r'class="dot ?\w*" cx="([\d.]+)%"', drawn) == ["62.5"]


def test_a_bar_against_what_was_asked_is_to_scale_and_stays_inside() -> None:
    assert 'width="25%"' in against(0.25, 0.4)
    assert 'x1="40%"' in against(0.25, 0.4)
    assert 'width="100%" y="3"' in against(1.7, -1)
    assert 'x1="0%"' in against(1.7, -1)


def test_a_line_crosses_its_column_at_its_height() -> None:
    drawn = histogram([Column(0, 1, [50, 50], "a", lines=[25])], [Tick(0.5, "1")], "x", "y")
    assert f'class="aim" x1="0%" x2="100%" y1="{number(0.75 * HEIGHT)}"' in drawn
