"""Demonstrations as LLaVA JSON with its images, for tools that read that; our importer reads it back."""

import json
from collections.abc import Iterable

from curate.demonstrations.importers.llava import IMAGE
from curate.schema import Demonstration
from curate.storage import Folder, ImageStore


def conversation(shown: Demonstration) -> dict[str, object]:
    """One conversation of one turn. What LLaVA's format has no word for stands in keys that its readers ignore."""
    names = [f"images/{image.ref}" for image in shown.images]
    asked = "\n".join([IMAGE] * len(names) + ([_plain(shown.question)] if shown.question else []))
    own = {key: getattr(shown, key) for key in ("task", "format", "licence", "context", "source") if getattr(shown, key)}
    return {
        "id": shown.id,
        "image": names[0] if len(names) == 1 else names,
        "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": _plain(shown.answer)}],
        "concepts": list(shown.concepts),
        **own,
    }


def _plain(text: str) -> str:
    """A literal placeholder in a text would be taken for an image."""
    return text.replace(IMAGE, "(image)")


def export_llava(demonstrations: Iterable[Demonstration], store: ImageStore, out: Folder) -> int:
    """Writes OUT/llava.json and OUT/images/; returns how many conversations there are."""
    count = 0
    with out.open_atomic("llava.json") as file:
        file.write(b"[")
        for shown in demonstrations:
            for image in shown.images:
                name = f"images/{image.ref}"
                if not out.exists(name):
                    out.write(name, store.get(image.ref), durable=False)
            text = json.dumps(conversation(shown), ensure_ascii=False)
            file.write((",\n" if count else "\n").encode() + text.encode())
            count += 1
        file.write(b"\n]\n")
    return count
