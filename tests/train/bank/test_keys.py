"""A key changes with everything that decides the hidden states, and with nothing else."""

import re
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.train.bank.small_banks import FACTS, turn
from train.bank import key_of
from train.evaluate.records import Picture, Turn

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
facts = st.dictionaries(st.text(), values, max_size=4)
refs = st.integers(0, 99).map(lambda number: turn(number).pictures[0].ref)
pictures = st.builds(Picture, refs, st.just(b""), st.just(1), st.just(1))
turns = st.builds(Turn, st.lists(pictures, max_size=3).map(tuple), st.text(), st.text())


@given(facts, turns)
def test_a_key_is_a_digest_whatever_the_words(known: dict[str, Any], one: Turn) -> None:
    assert re.fullmatch("[0-9a-f]{64}", key_of(known, one))
    assert key_of(dict(reversed(known.items())), one) == key_of(known, one)


@given(facts, turns, facts, turns)
def test_keys_are_equal_where_facts_pictures_question_and_answer_are(
    known: dict[str, Any], one: Turn, other_facts: dict[str, Any], other: Turn
) -> None:
    def content(told: dict[str, Any], shown: Turn) -> str:
        ordered = sorted((name, repr_of(value)) for name, value in told.items())
        return repr((ordered, [p.ref for p in shown.pictures], shown.question, shown.answer))

    same = content(known, one) == content(other_facts, other)
    assert (key_of(known, one) == key_of(other_facts, other)) == same


def repr_of(value: Any) -> Any:
    """Told apart as JSON tells it: the order of an object's names does not count, the kind of a number does."""
    if isinstance(value, dict):
        return ["object", sorted((name, repr_of(inner)) for name, inner in value.items())]
    return ["list", [repr_of(inner) for inner in value]] if isinstance(value, list) else repr(value)


@given(turns, st.sampled_from(["question", "answer"]), st.text(min_size=1))
def test_a_changed_word_changes_the_key(one: Turn, field: str, more: str) -> None:
    assert key_of(FACTS, replace(one, **{field: getattr(one, field) + more})) != key_of(FACTS, one)


@given(turns, st.text(min_size=1))
def test_words_do_not_move_between_question_and_answer_unseen(one: Turn, moved: str) -> None:
    left = replace(one, question=one.question + moved)
    right = replace(one, answer=moved + one.answer)
    assert key_of(FACTS, left) != key_of(FACTS, right)


@given(turns, pictures)
def test_another_picture_or_order_changes_the_key(one: Turn, more: Picture) -> None:
    longer = replace(one, pictures=(*one.pictures, more))
    assert key_of(FACTS, longer) != key_of(FACTS, one)
    turned = replace(longer, pictures=longer.pictures[::-1])
    same = [p.ref for p in turned.pictures] == [p.ref for p in longer.pictures]
    assert (key_of(FACTS, turned) == key_of(FACTS, longer)) == same


@given(st.sampled_from(sorted(FACTS)), values)
def test_any_changed_fact_changes_the_key(name: str, value: Any) -> None:
    one, changed = turn(1), FACTS | {name: value}
    assert (key_of(changed, one) == key_of(FACTS, one)) == (repr_of(value) == repr_of(FACTS[name]))
