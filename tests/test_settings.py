"""Settings are checked before any work, and a slip of the pen is answered with the right word."""

from pathlib import Path

import pytest

from curate.episodes.settings import Plan
from curate.errors import ConfigError, InputError
from curate.registry import Registry
from curate.settings import Settings, build, load, with_overrides


class Inner(Settings):
    min_words: int = 4


class Outer(Settings):
    filters: Inner = Inner()
    seed: int = 0


def test_overrides_reach_into_nested_settings() -> None:
    assert load(Outer, None, ["filters.min_words=7", "seed=3"]) == Outer(filters=Inner(min_words=7), seed=3)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("filters.min_word=7", r"unknown key 'filters.min_word' \(did you mean 'min_words'\?\)"),
        ("sed=7", r"unknown key 'sed' \(did you mean 'seed'\?\)"),
        ("seed=many", "seed: Input should be a valid integer"),
        ("seed", "--set wants KEY=VALUE"),
        ("seed=[", "not readable YAML"),
    ],
)
def test_a_wrong_setting_is_one_line_that_helps(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(Outer, None, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "not readable YAML"), ("a: " + "[" * 3000, "nested too deeply"), ("- 1", "must hold a mapping")],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(Outer, path)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load(Outer, tmp_path / "none.yaml")


def test_yaml_cannot_build_python_objects(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("seed: !!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match="not readable YAML"):
        load(Outer, path)


def test_overrides_do_not_touch_what_they_are_laid_over() -> None:
    data = {"filters": {"min_words": 1}}
    assert with_overrides(data, ["filters.min_words=2"]) == {"filters": {"min_words": 2}}
    assert data == {"filters": {"min_words": 1}}


def test_a_registry_names_the_nearest_thing() -> None:
    things: Registry[int] = Registry("selector")
    things.register("random")(1)
    with pytest.raises(ConfigError, match=r"no selector is called 'randm' \(did you mean 'random'\?\); known: random"):
        things.get("randm")


def test_what_a_validator_says_is_told_as_it_says_it() -> None:
    with pytest.raises(ConfigError, match=r"^settings: shots: give at least one number of shots"):
        build(Plan, {"format": "caption", "shots": []})
