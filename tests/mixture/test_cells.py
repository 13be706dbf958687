import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ConfigError
from curate.mixture.cells import FREE, check_axis
from tests.mixture.small_cells import cells_of, group

SAMPLES = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.floats(1, 9), st.integers(1, 3), st.booleans()), min_size=1
)


@given(SAMPLES)
def test_a_cell_holds_samples_of_the_same_values_limit_and_freedom(samples):
    format_, shots, units, repeats, fixed = (np.array(column) for column in zip(*samples, strict=True))
    cells, cell = group({"format": format_, "shots": shots}, units, repeats, fixed)
    for i, c in enumerate(cell):
        assert cells.values["format"][cells.axes["format"][c]] == format_[i]
        assert cells.values["shots"][cells.axes["shots"][c]] == shots[i]
        assert cells.limits[c] == cells.samples[c] * (1 if fixed[i] else repeats[i])
        assert (FREE if cells.exact is None else cells.exact[c]) == (cells.samples[c] if fixed[i] else FREE)
    assert cells.samples.tolist() == np.bincount(cell).tolist()
    assert (cells.samples * cells.units).sum() == pytest.approx(units.sum())


def test_a_part_is_where_all_its_values_meet():
    cells = cells_of(("format", "shots"), [("caption", 0, 3), ("caption", 1, 4), ("open_qa", 1, 5)])
    assert cells.samples[cells.inside((("format", "caption"), ("shots", "1")))].tolist() == [4]
    assert cells.samples[cells.inside(())].sum() == 12
    assert not cells.having("format", "poem").any()


def test_an_unknown_axis_is_an_error_that_names_the_nearest():
    with pytest.raises(ConfigError, match="concept_type"):
        check_axis("concept_typ")
    with pytest.raises(ConfigError, match="did you mean 'format'"):
        cells_of(("format",), [("caption", 1)]).having("fromat", "caption")
