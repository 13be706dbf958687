"""What an entry is found by: everything that decides the hidden states of a demonstration, hashed."""

import re
from collections.abc import Mapping
from typing import Any

from curate.storage import hash_json
from train.evaluate.records import Turn

KEY = re.compile(r"[0-9a-f]{64}")


def key_of(facts: Mapping[str, Any], turn: Turn) -> str:
    """Hex SHA-256 of an aggregator's facts (JSON) and of a demonstration: its pictures' refs, question and answer."""
    pictures = [picture.ref for picture in turn.pictures]
    return hash_json([model_of(facts), pictures, turn.question, turn.answer])


def model_of(facts: Mapping[str, Any]) -> str:
    """Hex SHA-256 of an aggregator's facts, what its entries are told by from another's."""
    return hash_json(dict(facts))
