"""Where a model is to be had: a folder on disk, or a name on the hub that answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.errors import InputError

PATIENCE = 10.0
"""Seconds for the hub to answer. Loading would try each of a dozen files six times, minutes in all."""


def check(place: str, what: str = "a model") -> bool:
    """Whether files of `place` must be had without asking the hub: it is a folder, or the hub does not answer.

    InputError, in one line, for a path that is not there.
    """
    if Path(place).is_dir():
        if not (Path(place) / "config.json").is_file():
            raise InputError(f"{place} holds no config.json; give the folder of {what}")
        return True
    if place.startswith((".", "/", "~")) or place.count("/") > 1 or not place.strip():
        raise InputError(f"{place or 'the empty name'} does not exist; give the folder of {what} or its name on the hub")
    return bool(silence(place))


def silence(name: str) -> str:
    """Why the hub gives no model of that name just now; "" when it does."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=PATIENCE)
    except Exception as error:  # of the hub, the network, or a name that is none
        return gist(error)
    return ""


def unreadable(what: str, place: str, error: Exception, offline: bool) -> InputError:
    """The error for a place whose files could not be read; a hub that is silent is told in few words."""
    if offline and not Path(place).is_dir():
        return InputError(
            f"cannot read {what} {place}: there is no such folder, and the hub does not give it just now; give its folder"
        )
    return InputError(f"cannot read {what} {place}: {gist(error)}")


def gist(error: Exception) -> str:
    """What a foreign library complains of, in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def quietly() -> Iterator[None]:
    """No bars, no lists of unused tensors, no retries told: what is missing is an error of ours."""
    from huggingface_hub.utils import logging as hub
    from transformers.utils import logging

    level, hub_level, bars = logging.get_verbosity(), hub.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    hub.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub.set_verbosity(hub_level)
        if bars:
            logging.enable_progress_bar()
