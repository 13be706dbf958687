"""A model's processor from a folder or from the hub."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import InputError
from train.model.places import gist, silence

if TYPE_CHECKING:
    from transformers import ProcessorMixin

MARKS = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json", "tokenizer.json")


def load_processor(place: str | os.PathLike[str]) -> "ProcessorMixin":
    """The processor in a folder or of a model on the hub; no code that comes with it is run. InputError when
    there is none, in one line. Without a network, what was downloaded before is used."""
    name = os.fspath(place)
    if Path(name).is_dir():
        if not any((Path(name) / mark).exists() for mark in MARKS):
            raise InputError(f"{name} holds no processor (none of {', '.join(MARKS)}); give a model's folder")
        return _checked(name, _loaded(name, "from its folder", offline=True))
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError(f"{name} does not exist; give a model's folder or its name on the hub")
    silent = silence(name)
    where = f"from the hub ({silent}), and there is no such folder; give a model's folder" if silent else "from the hub"
    return _checked(name, _loaded(name, where, offline=bool(silent)))


def _loaded(name: str, where: str, offline: bool) -> "ProcessorMixin":
    from transformers import AutoProcessor

    import train.model.towers  # noqa: F401  the tokenizer's class is looked up by the model's configuration, our towers' too

    try:
        processor: ProcessorMixin = AutoProcessor.from_pretrained(name, trust_remote_code=False, local_files_only=offline)
    except Exception as error:  # the hub, its cache, and parsers of foreign files raise anything
        detail = "" if offline and "hub" in where else f": {gist(error)}"
        raise InputError(f"cannot load the processor of {name} {where}{detail}") from None
    return processor


def _checked(name: str, processor: "ProcessorMixin") -> "ProcessorMixin":
    parts = {"a tokenizer": "tokenizer", "an image processor": "image_processor", "an image token": "image_token"}
    missing = [what for what, part in parts.items() if not getattr(processor, part, None)]
    if missing:
        raise InputError(f"{name} is no vision-language model: its processor lacks {' and '.join(missing)}")
    return processor
