"""What is kept of a demonstration, and what it becomes."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from curate.settings import Settings

Span = Literal["answer", "text"]
TEMPLATE, QUESTION, ANSWER = 1, 2, 3
"""Kinds of a demonstration's words: the chat template's, its question's (with what stands beside its pictures), its answer's.
0 is a word that is not kept."""

Verbatim = Literal["none", "template", "answer"]
Init = Literal["ridge", "identity", "random"]


class AimSettings(Settings):
    """AIM's choices. The paper does not say which layer it reads; those four fifths up did best where we tried."""

    layers: tuple[int, ...] = ()
    """Decoder layers behind which states are read: 0 the embeddings, -1 the last (normed), () the one four fifths up."""

    combine: Literal["mix", "concat"] = "mix"
    """Of several layers: a learned mix, or all side by side, each with a part of the projection of its own."""

    span: Span = "text"
    """Words of a demonstration whose states are read: its answer's, or its question's and answer's; with `verbatim: none` also
    the template's."""

    verbatim: Verbatim = "answer"
    """Words of a demonstration that stand between its virtual tokens as they are: the chat template's around questions and
    answers, so that virtual tokens stand in turns as the model knows them; the answer's too; or none."""

    pool: int = Field(default=1, gt=0)
    """So many neighbouring vectors of a demonstration become one, their mean: prompts that many times shorter."""

    init: Init = "ridge"
    """How the projection begins. ridge: in closed form, states on the question to the mean of what is seen in the picture,
    those on the answer to its words; identity; random."""

    ridge: float = Field(default=0.01, gt=0)
    """Strength of the ridge, relative to the mean eigenvalue of the states' covariance."""

    ridge_steps: int = Field(default=32, gt=0)
    """Micro-batches of the plan that the ridge is fitted on."""

    distill: float = Field(default=0.0, ge=0, le=1)
    """Share of the loss that pulls towards what the model answers with whole demonstrations; 0 for models that read one
    picture only. Costs one more pass a step."""

    rescale: bool = True
    """Give every vector the size (root mean square) of the model's word embeddings."""

    @field_validator("layers")
    @classmethod
    def _each_once(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(layers)) != len(layers):
            raise ValueError("names a layer twice")
        return layers

    @model_validator(mode="after")
    def _something_fused(self) -> "AimSettings":
        if self.span == "answer" and self.verbatim == "answer":
            raise ValueError("span: answer with verbatim: answer leaves nothing to fuse; set verbatim to template or none")
        return self

    @property
    def words(self) -> tuple[int, ...]:
        """Kinds of words that stand as they are."""
        return {"none": (), "template": (TEMPLATE,), "answer": (TEMPLATE, ANSWER)}[self.verbatim]

    def resolved(self, depth: int) -> tuple[int, ...]:
        """Layers as 0 (the embeddings) to `depth` (behind the last, normed). ValueError for one that is not there."""
        chosen = [layer if layer >= 0 else depth + 1 + layer for layer in self.layers] or [max(1, round(0.8 * depth))]
        beyond = [asked for asked, layer in zip(self.layers, chosen, strict=False) if not 0 <= layer <= depth]
        if beyond:
            raise ValueError(f"layers: {beyond[0]} is not among the model's {depth}; give 0 to {depth}, or -1 for the last")
        return tuple(chosen)
