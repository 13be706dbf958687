"""Random demonstrations: nothing but their relation to the query is changed."""

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from curate.engine import Partition, PartWriter, StageManifest, run
from curate.layout import Run
from curate.schema import Episode, Image, Provenance, Shot, to_table
from curate.settings import Settings
from pipelines.headline.unrelated import build_unrelated, exchanged
from tests.train.tiny_episodes import tiny_episode


def shot(name: str, role: str = "positive", options: int = 0) -> Shot:
    image = Image(f"{name:0>64}.png", 8, 8, "0" * 16)
    return Shot(role, 0.5, name, "", (image,), "What?", name, name, tuple("ab"[:options]))  # type: ignore[arg-type]


def episode(name: str, shots: int, form: str = "open_qa", options: int = 0) -> Episode:
    demonstrations = tuple(shot(f"{name}d{number}", options=options) for number in range(shots))
    query = shot(f"{name}q", "query", options)
    return Episode(
        name, "category", "x", form, demonstrations, query, "random", "random", "", 0, "s", "", Provenance("s", name)
    )


def form(one: Episode) -> tuple[str, int, int]:
    return one.format, len(one.demonstrations), len(one.query.options)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["open_qa", "caption"]), st.integers(0, 2)), max_size=30))
def test_every_set_of_demonstrations_stands_once_with_a_query_of_its_form(kinds: list[tuple[int, str, int]]) -> None:
    episodes = [episode(f"{number:x}", *kind) for number, kind in enumerate(kinds)]
    given_ = exchanged(episodes, 0)
    count = Counter(form(one) for one in episodes)
    for one, other in zip(episodes, given_, strict=True):
        if not one.demonstrations:
            assert other is one
        elif count[form(one)] == 1:
            assert other is None
        else:
            assert other is not None
            assert other.id != one.id
            assert form(other) == form(one)
    taken = [other.id for other in given_ if other is not None]
    assert len(set(taken)) == len(taken)


def test_no_demonstration_shows_the_query() -> None:
    one, other = episode("a", 1), episode("b", 1)
    twin = Episode(**{**{name: getattr(other, name) for name in other.__dataclass_fields__}, "demonstrations": (one.query,)})
    assert exchanged([one, twin], 0)[0] is None


class Given:
    """A stage that makes episodes that are there already."""

    name, version = "episodes", "1"

    def __init__(self) -> None:
        self.settings = Settings()

    def setup(self) -> None: ...

    def process(self, payload: list[Episode], part: PartWriter) -> None:
        for _ in payload:
            part.saw()
        part.table(to_table(payload, Episode))


def test_a_run_with_other_demonstrations_has_shards_and_repeats_bit_for_bit(tmp_path: Path) -> None:
    made = [tiny_episode(number, shots=number % 3) for number in range(12)]
    origin = Run.at(tmp_path / "origin")
    for _, pictures in made:
        for data in pictures:
            origin.images.put(data, "png")
    run(Given(), [Partition("all", [one for one, _ in made])], origin.episodes)
    one, two = Run.at(tmp_path / "one"), Run.at(tmp_path / "two")
    assert build_unrelated(origin, one).files == build_unrelated(origin, two).files
    before = {one.id: one for one, _ in made}
    for after in one.built_episodes():
        assert after.query == before[after.id].query
        assert [shot.role for shot in after.demonstrations] == ["support"] * len(before[after.id].demonstrations)
    manifest = StageManifest.load(one.shards)
    assert manifest.counts == {"in": 12, "out": 12, "dropped": 0, "rejected": 0}
