"""Images and texts to unit vectors: open_clip models and the embedded offline encoder."""

from curate.encoders.base import Encoder, ImageSpace
from curate.encoders.load import ENCODERS, load_encoder
from curate.encoders.stage import EmbedSettings, embed

__all__ = ["ENCODERS", "EmbedSettings", "Encoder", "ImageSpace", "embed", "load_encoder"]
