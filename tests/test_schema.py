"""Records survive the way through Arrow and through JSON unchanged."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.schema import Demonstration, Document, Episode, arrow_schema, as_json, from_json, from_table, to_table

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def records(kind: type[Any]) -> st.SearchStrategy[Any]:
    strategies = {str: TEXT, int: st.integers(0, 2**40), float: st.floats(-1, 1)}
    for primitive, strategy in strategies.items():
        st.register_type_strategy(primitive, strategy)
    return st.builds(kind)


@pytest.mark.parametrize("kind", [Document, Demonstration, Episode])
def test_records_round_trip(kind: type[Any]) -> None:
    @settings(max_examples=30, deadline=None)
    @given(st.lists(records(kind), max_size=3))
    def check(items: list[Any]) -> None:
        assert from_table(to_table(items, kind), kind) == items
        assert [from_json(kind, as_json(item)) for item in items] == items

    check()


def test_schema_names_are_the_fields_in_order() -> None:
    assert arrow_schema(Document).names == list(Document.__dataclass_fields__)
