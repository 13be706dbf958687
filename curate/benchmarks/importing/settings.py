"""What all importers of benchmarks can be told."""

from pydantic import Field, field_validator

from curate.episodes.settings import Shots
from curate.images import MAX_PIXELS
from curate.settings import Settings


class FileSettings(Settings):
    """Names, limits and the draw of demonstrations."""

    name: str = Field("", pattern=r"^([A-Za-z0-9][\w.-]{0,99})?$")
    """The benchmark's name; by default the last part of --out."""
    title: str = ""
    """What it asks, in a line."""
    domain: str = ""
    """Where its pictures come from."""
    version: str = "1"
    """Which edition of the set this is."""
    licence: str = ""
    """Licence of its pictures."""
    seed: int = 0
    """Draws demonstrations and, where `queries` asks for fewer than there are, queries."""
    shots: list[Shots] = Field(default=[0, 1, 2, 4])
    """Numbers of demonstrations, of each class where the format has classes. Zero means none at all."""
    queries: int = Field(0, ge=0)
    """Queries at most, drawn at random; 0 takes all."""
    encoder: str = ""
    """Encoder for how alike pictures are, such as `offline`: for `select: rices` and for the kNN baseline."""
    max_bytes: int = Field(64_000_000, ge=1)
    """Largest picture file that is read."""
    max_pixels: int = Field(MAX_PIXELS, ge=1)
    """Largest picture that is decoded, width times height."""
    max_table: int = Field(4_000_000_000, ge=1)
    """Largest JSON file that is read, in bytes."""
    max_text: int = Field(20_000, ge=1)
    """Longest question or answer, in characters."""
    max_images: int = Field(32, ge=1)
    """Most pictures of one turn."""

    @field_validator("shots")
    @classmethod
    def _distinct(cls, shots: list[int]) -> list[int]:
        if not shots:
            raise ValueError("give at least one number of shots")
        return sorted(set(shots))
