"""AIM (arXiv 2406.07588): a frozen model reads each demonstration once; a few vectors of it stand in front of the query.

demonstration -> frozen model -> states H on its text -> one trained projection -> fused virtual tokens V
prompt = [V of all demonstrations][query]

settings    what is kept of a demonstration, and how the projection begins
states      H: hidden states of a layer on a demonstration's words
projection  H -> V
starting    the projection's first values
forward     a batch of both to logits, for training
loading     the projection put on a model, and taken from a run
"""

from train.model.aim.projection import Projection
from train.model.aim.settings import AimSettings

__all__ = ["AimSettings", "Projection"]
