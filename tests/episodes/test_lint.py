"""Sound episodes are at chance; every flaw that we know of is found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from curate.episodes import EpisodeSettings, LintSettings, Plan, lint
from curate.episodes.baselines import wilson
from curate.schema import Episode, Shot

Change = Callable[[Episode], Episode]


@pytest.fixture(scope="module")
def sound(made: Any) -> list[Episode]:
    plans = [
        Plan(format="multiple_choice", selector="rices", shots=[2, 4], ways=2, order="similar_last"),
        Plan(format="multiple_choice", selector="concept", shots=[1, 4], ways=4),
        Plan(format="classification", selector="rices", shots=[4], ways=2, order="similar_last"),
        Plan(format="open_qa", selector="rices", shots=[1, 4], order="similar_last"),
    ]
    return made.build(made.make_pool(4000, concepts=12), EpisodeSettings(episodes=plans))  # type: ignore[no-any-return]


def changed(episodes: list[Episode], change: Change, form: str) -> list[Episode]:
    return [change(e) if e.format == form else e for e in episodes]


def test_blind_rules_are_at_chance_on_what_we_build(sound: list[Episode]) -> None:
    report = lint(sound)
    assert report.failures == []
    assert report.episodes == len(sound) > 3900
    for cell in report.cells:
        for score in cell.scores:
            if score.judged and cell.ways:
                assert score.low <= cell.chance
                assert score.rule == "label-prior" or abs(score.accuracy - cell.chance) < 0.06


def test_retrieval_itself_is_reported_and_not_held_against_the_set(sound: list[Episode]) -> None:
    scores = [s for c in lint(sound).cells if c.ways == 2 for s in c.scores if s.rule == "copy-nearest"]
    assert {s.judged for s in scores if s.copies == "label"} == {False}
    assert min(s.accuracy for s in scores if s.copies == "label") > 0.8
    letters = [s for c in lint(sound).cells if c.format == "multiple_choice" for s in c.scores if s.copies == "answer"]
    assert all(s.judged for s in letters if s.rule == "copy-nearest")


def positive_first(e: Episode) -> Episode:
    return replace(e, demonstrations=tuple(sorted(e.demonstrations, key=lambda shot: shot.role != "positive")))


def lettered(shot: Shot, letter: int) -> Shot:
    """The shot with its right option moved to a letter."""
    rest = [option for option in shot.options if option != shot.label]
    rest.insert(letter, shot.label)
    return replace(shot, options=tuple(rest), answer="ABCD"[letter])


def always_a(e: Episode) -> Episode:
    return replace(e, query=lettered(e.query, 0))


def same_letter_as_first(e: Episode) -> Episode:
    return replace(e, query=lettered(e.query, "ABCD".index(e.demonstrations[0].answer)))


def same_letter_as_nearest(e: Episode) -> Episode:
    nearest = max(e.demonstrations, key=lambda shot: shot.similarity or 0)
    return replace(e, query=lettered(e.query, "ABCD".index(nearest.answer)))


def mostly_positive(e: Episode) -> Episode:
    one = next((shot for shot in e.demonstrations if shot.role == "positive"), None)
    if one is None or len(e.demonstrations) < 4:
        return e
    extra = replace(one, demonstration_id=one.demonstration_id + "x", images=())
    return replace(e, demonstrations=(*e.demonstrations[1:], extra) if e.demonstrations[0] is not one else e.demonstrations)


@pytest.mark.parametrize(
    ("change", "form", "said"),
    [
        (positive_first, "multiple_choice", "copy-first (label)"),
        (positive_first, "classification", "copy-first (answer)"),
        (always_a, "multiple_choice", "constant (answer)"),
        (same_letter_as_first, "multiple_choice", "copy-first (answer)"),
        (same_letter_as_nearest, "multiple_choice", "copy-nearest (answer)"),
        (mostly_positive, "multiple_choice", "majority (label)"),
        (mostly_positive, "classification", "majority (answer)"),
    ],
)
def test_a_shortcut_is_found(sound: list[Episode], change: Change, form: str, said: str) -> None:
    report = lint(changed(sound, change, form))
    assert any(form in line and said in line for line in report.failures), report.failures


def test_leaks_are_found(sound: list[Episode]) -> None:
    first = next(e for e in sound if e.demonstrations and e.query.document_id)
    shots = first.demonstrations
    leaking = {
        "record": replace(shots[0], demonstration_id=first.query.demonstration_id),
        "image": replace(shots[0], images=first.query.images),
        "document": replace(shots[0], document_id=first.query.document_id),
    }
    for what, shot in leaking.items():
        report = lint([*sound, replace(first, id="new", demonstrations=(shot, *shots[1:]))])
        assert any(f"their query's {what}" in line for line in report.failures)
    close = replace(first.query.images[0], ref="other.png", phash=f"{int(first.query.images[0].phash, 16) ^ 1:016x}")
    shown = replace(first, id="new", demonstrations=(replace(shots[0], images=(close,)), *shots[1:]))
    assert lint([shown]).leaks["same_image"] == 1
    assert lint([shown], LintSettings(perceptual_bits=None)).leaks["same_image"] == 0


def test_duplicates_are_found(sound: list[Episode]) -> None:
    several = next(e for e in sound if len(e.demonstrations) == 4)
    turned = replace(several, id="other", demonstrations=several.demonstrations[::-1])
    assert lint([several, turned]).duplicates["episodes"] == 1
    assert lint([several, several]).duplicates == {"episodes": 1, "ids": 1, "images_in_an_episode": 0}
    first = several.demonstrations[0]
    twice = replace(several, demonstrations=(first, replace(first, demonstration_id="x"), *several.demonstrations[2:]))
    assert lint([twice]).duplicates["images_in_an_episode"] == 1
    assert not lint([twice]).passed


def test_a_hash_that_cannot_be_read_is_no_crash(sound: list[Episode]) -> None:
    e = next(e for e in sound if e.demonstrations)
    odd = replace(e.query, images=(replace(e.query.images[0], phash="?"),))
    assert lint([replace(e, query=odd)]).leaks["same_image"] == 0


def test_a_shared_answer_among_open_demonstrations_is_found(made: Any) -> None:
    plan = Plan(format="open_qa", selector="rices", shots=[4], answers="free")
    report = lint(made.build(made.make_pool(600), EpisodeSettings(episodes=[plan])))
    assert {line.split(":")[1].split(" (")[0].strip() for line in report.failures} == {"copy-first", "copy-last", "majority"}


def test_the_margin_decides(sound: list[Episode]) -> None:
    flawed = changed(sound, always_a, "multiple_choice")
    assert lint(flawed, LintSettings(margin=0.9)).passed
    assert not lint(flawed, LintSettings(margin=0.1)).passed


def test_the_order_of_episodes_does_not_matter(sound: list[Episode]) -> None:
    one, other = lint(sound[:900]), lint(sound[:900][::-1])
    assert one.as_json() == other.as_json()


def test_nothing_to_lint_passes() -> None:
    assert lint([]).passed


def test_wilson_is_the_published_interval() -> None:
    share = wilson(81, 263, 0.95)  # Newcombe 1998, table I
    assert (round(share.low, 4), round(share.high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 0, 0.95).high == 1.0
    none = wilson(0, 20, 0.95)
    assert (round(none.low, 4), round(none.high, 4)) == (0.0, 0.1611)


def test_a_sound_build_of_a_hundred_queries_does_not_fail_by_luck(made: Any) -> None:
    pool = made.make_pool(126, concepts=6)
    failed = [seed for seed in range(12) if lint(made.build(pool, EpisodeSettings(seed=seed))).failures]
    assert not failed
