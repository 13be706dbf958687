"""What `curate report` can be told."""

from pydantic import Field

from curate.settings import Settings


class ReportSettings(Settings):
    """How much of a run the page shows."""

    max_episodes: int = Field(default=240, ge=0)
    """Episodes in the gallery; a sample, even over formats, shots and selectors, when there are more."""
    max_megabytes: float = Field(default=15.0, ge=0.1)
    """Size of the page (10**6 bytes); the gallery ends earlier when its pictures would pass it."""
    thumbnail: int = Field(default=256, ge=32, le=1024)
    """Longest side of an embedded picture in pixels."""
    quality: int = Field(default=68, ge=1, le=100)
    """WebP quality of the embedded pictures."""
    seed: int = 0
    """Seed of the sample."""
