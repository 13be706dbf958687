"""Every share that is off says why; and what is named as a cure does cure."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mixture.small_cells import cells_of, mixed, row

HALVES = {"axis": "format", "shares": {"caption": 1, "open_qa": 1}}


def cells(repeats=1, **more):
    table = [
        ("caption", 0, "a", "no", 100),
        ("caption", 1, "a", "no", 50),
        ("open_qa", 2, "b", "no", 210),
        ("open_qa", 0, "r", "yes", 300),
    ]
    return cells_of(("format", "shots", "source", "replay"), table, repeats, **more)


def number(pattern, text):
    return int(re.search(pattern + r" ([\d,]+)", text)[1].replace(",", ""))


def test_too_few_samples_are_counted_and_both_cures_cure():
    short = row(mixed(cells(), [HALVES], 400), "format", "caption")
    assert "200 samples of format=caption are needed and there are 150" in short.reason
    assert "the nearest is 37.5% instead of 50.0%" in short.reason
    again = mixed(cells(repeats=number("max_repeats", short.reason)), [HALVES], 400)
    smaller = mixed(cells(), [HALVES], number("size of at most", short.reason))
    assert not [line.reason for line in again.rows + smaller.rows if line.reason]


@given(st.integers(1, 60), st.integers(100, 400), st.integers(5, 95), st.integers(100, 400))
@settings(max_examples=60, deadline=None)
def test_cures_for_too_few_samples_always_cure(few, many, share, size):
    def made(repeats):
        return cells_of(("format",), [("caption", few), ("open_qa", many)], repeats)

    quota = {"axis": "format", "shares": {"caption": share, "open_qa": 100 - share}}
    mix = mixed(made(1), [quota], min(size, few + many), 1.0)
    for line in mix.rows:
        if "max_repeats" in line.reason and "at most 0" not in line.reason:
            again = mixed(made(number("max_repeats", line.reason)), [quota], mix.size, 1.0)
            assert (
                abs(row(again, "format", line.value).realised - line.requested) <= 0.01
                or "so small" in row(again, "format", line.value).reason
            )
            smaller = mixed(made(1), [quota], number("size of at most", line.reason), 1.0)
            nearer = row(smaller, "format", line.value)
            assert not nearer.reason or "so small" in nearer.reason


def test_a_value_that_does_not_exist_is_named_with_the_nearest_that_does():
    mix = mixed(cells(), [{"axis": "format", "shares": {"captoin": 1, "open_qa": 1}}], 100)
    assert "no sample with format=captoin (did you mean 'caption'?)" in row(mix, "format", "captoin").reason
    assert "takes the place of captoin, of which there is nothing" in row(mix, "format", "open_qa").reason
    inside = mixed(cells(), [{"axis": "shots", "within": {"format": "open_aq"}, "shares": {0: 1}}], 100)
    assert "format=open_aq (did you mean 'open_qa'?)" in inside.rows[0].reason


def test_no_far_fetched_name_is_suggested():
    types = cells_of(("concept_type",), [("category", 9), ("caption", 9)])
    mix = mixed(types, [{"axis": "concept_type", "shares": {"category": 1, "relation": 1}}], 9)
    assert "no sample with concept_type=relation;" in row(mix, "concept_type", "relation").reason


def test_two_demands_that_contradict_name_each_other():
    mix = mixed(
        cells(),
        [{"axis": "format", "shares": {"caption": 9, "open_qa": 1}}, {"axis": "source", "shares": {"a": 1, "b": 1}}],
        100,
    )
    b = row(mix, "source", "b")
    assert "the shares asked for format leave room for no more of source=b than 10.0%" in b.reason
    assert b.realised == 0.1
    assert "no less of source=a than 90.0%" in row(mix, "source", "a").reason


def test_a_full_replay_that_holds_too_much_says_from_which_size_on_it_fits():
    whole = cells(repeats=2, full_replay=True)
    over = row(mixed(whole, [HALVES], 400, replay="full"), "format", "open_qa")
    assert "the full replay alone holds 300 samples of format=open_qa" in over.reason
    enough = mixed(whole, [HALVES], number("size of at least", over.reason), replay="full")
    assert enough.size == 600
    assert not [line.reason for line in enough.rows if line.reason]


def test_a_plan_too_small_to_be_split_says_from_which_size_on_it_can():
    mix = mixed(cells(), [HALVES], 7)
    reason = row(mix, "format", "caption").reason
    assert "one sample of format=caption is 14.3 points" in reason
    assert not [line for line in mixed(cells(), [HALVES], number("size of at least", reason)).rows if line.reason]


def test_a_value_in_the_place_of_another_names_it():
    assert "takes the place of what is missing of caption" in row(mixed(cells(), [HALVES], 400), "format", "open_qa").reason


def test_a_size_out_of_reach_is_told():
    assert "asked for is 5,000 and the data give at most 660 samples" in mixed(cells(), [], 5000).notes[0]
    assert "the full replay alone is 300 samples" in mixed(cells(full_replay=True), [], 200, replay="full").notes[0]
    assert mixed(cells(), [], 300).notes == ()


def test_the_largest_plan_says_what_holds_it_back():
    assert "every draw of format=caption is in it" in mixed(cells(), [HALVES], None).notes[0]
    assert "it holds every draw there is" in mixed(cells(), [], None).notes[0]


def test_units_other_than_samples_are_called_units():
    few = cells_of(("format",), [("caption", 10), ("open_qa", 100)], units=25.0)
    assert (
        "500 units of format=caption are needed and there are 250"
        in row(mixed(few, [HALVES], 1000), "format", "caption").reason
    )
