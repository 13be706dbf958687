"""A renderer without a template: pictures, question and answer of every turn one after another. Tests know what it makes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from train.data.records import BadSample, Rendered


class PlainRenderer:
    """Every answer is supervised with weight 1; a record of the format `refused` cannot be rendered."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def render(self, record: Mapping[str, Any]) -> Rendered:
        if record["format"] == "refused":
            raise BadSample("too_long", "as asked for")
        shots = [*record["demonstrations"], record["query"]]
        ids: list[int] = []
        answers: list[int] = []
        for turn, shot in enumerate(shots):
            seen = self._images(shot) + self._words(shot["question"])
            said = [*self._words(f" {shot['answer']}"), self.processor.tokenizer.eos_token_id]
            ids += seen + said
            answers += [-1] * len(seen) + [turn] * len(said)
        supervised = np.array(answers, np.int16)
        image_tokens = ids.count(self.processor.image_token_id)
        images, kept = tuple(range(record["images"])), tuple(range(len(shots) - 1))
        return Rendered(np.array(ids), (supervised >= 0).astype(np.float32), supervised, images, image_tokens, kept)

    def _images(self, shot: Mapping[str, Any]) -> list[int]:
        sizes = [(image["height"], image["width"]) for image in shot["images"]]
        return self._words("".join(f"\n{self._image(*size)}" for size in sizes))

    def _image(self, height: int, width: int) -> str:
        """What stands for an image: so many times its token, or tiles with their names."""
        processor = self.processor
        if type(processor).__name__ == "Idefics3Processor":
            _, rows, columns = processor.image_processor.get_number_of_image_patches(height, width, {})
            return str(processor.replace_image_token({"rows": [[rows]], "cols": [[columns]]}, 0))
        counts = processor._get_num_multimodal_tokens(image_sizes=[(height, width)])["num_image_tokens"]
        return str(processor.image_token) * counts[0]

    def _words(self, text: str) -> list[int]:
        return list(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])
