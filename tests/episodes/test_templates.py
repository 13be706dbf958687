"""Wordings are data, checked before any work; a template reaches nothing but the words it is given."""

from pathlib import Path

import pytest

from curate.episodes.templates import PLACEHOLDERS, load_templates
from curate.errors import ConfigError, InputError


def test_every_format_has_several_wordings() -> None:
    known = load_templates()
    assert set(known) == set(PLACEHOLDERS)
    assert all(len({template.turn for template in templates}) >= 4 for templates in known.values())


def test_no_wording_asks_for_an_article_a_single_word_or_a_length() -> None:
    turns = [template.turn for templates in load_templates().values() for template in templates]
    assert not [turn for turn in turns if turn.endswith((" a", " an", " the")) or " words" in turn or "briefly" in turn]


def test_own_files_replace_one_format_and_leave_the_others(tmp_path: Path) -> None:
    (tmp_path / "caption.yaml").write_text('- turn: "Was ist zu sehen?"\n', encoding="utf-8")
    known = load_templates(str(tmp_path))
    assert [template.say() for template in known["caption"]] == ["Was ist zu sehen?"]
    assert known["open_qa"] == load_templates()["open_qa"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("multiple_choice", '- turn: "Which?"', "turn must hold {options}"),
        ("multiple_choice", '- turn: "{options}"\n  option: "{text}"', "{letter} for a multiple choice"),
        ("multiple_choice", '- turn: "{options} {answer}"', "may hold options"),
        ("open_qa", '- turn: "{question.__class__}"', "plain name"),
        ("open_qa", '- turn: "{question[0]}"', "plain name"),
        ("open_qa", '- turn: "{question!r:>1000000000}"', "plain name"),
        ("open_qa", '- turn: "{}{question}"', "plain name"),
        ("open_qa", '- turn: "{question"', "for braces"),
        ("caption", '- turn: "Say {question}"', "no placeholder"),
        ("caption", "- trun: x", "did you mean 'turn'"),
        ("caption", "turn: x", "list of templates"),
        ("caption", "[]", "list of templates"),
        ("caption", "- turn: ''", "at least 1 character"),
        ("caption", "- turn: [", "not readable YAML"),
        ("kaption", '- turn: "x"', "did you mean 'caption'"),
    ],
)
def test_faults_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message.replace("{", "\\{").replace("}", "\\}")):
        load_templates(str(tmp_path))


def test_a_missing_folder_is_an_input_error() -> None:
    with pytest.raises(InputError, match="is not a folder"):
        load_templates("nowhere/at/all")


def test_words_of_demonstrations_are_never_read_as_templates() -> None:
    hostile = "{options} {0.__class__} %s"
    assert load_templates()["open_qa"][0].say(question=hostile) == hostile
    assert hostile in load_templates()["multiple_choice"][0].show([hostile, "b"])
