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


def gist(error: Exception) -> str:
    """What a foreign library complains of, in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def quietly() -> Iterator[None]:
    """transformers draws no bars and lists no unused tensors here: what is missing is an error of ours."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
