"""What `curate build-episodes` can be told about episodes, with a default for everything."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from curate.episodes.pseudowords import COUNT
from curate.settings import Settings

Shots = Annotated[int, Field(ge=0, le=64)]
Ways = Annotated[int, Field(ge=2, le=26)]


class GuardSettings(Settings):
    """Which demonstrations an episode must not hold. Every rule but `source` is on unless it is switched off."""

    itself: bool = True
    """No demonstration is the query's own record."""
    exact_image: bool = True
    """No image of a demonstration has the same bytes as one of the query's."""
    perceptual_bits: int | None = Field(default=4, ge=0, le=63)
    """No image within this many of 64 perceptual-hash bits of one of the query's; null switches the rule off."""
    cosine: float | None = Field(default=0.97, gt=0.0, le=1.0)
    """No demonstration whose vector has a larger cosine with the query's; null switches the rule off. Of several images
    the vector is their mean direction, so there the rules on bytes and hashes are the ones that see each image."""
    document: bool = True
    """No demonstration from the query's document, but in plans whose selector takes them from there."""
    source: bool = False
    """No demonstration from the query's source. Where each drawing style of the same concepts is a source, the query is
    then in another style than every demonstration."""
    twice: bool = True
    """The three image rules hold between the demonstrations of an episode too. One record never stands twice."""


class Plan(Settings):
    """One kind of episode and how large a share of the build it gets."""

    format: str
    """multiple_choice, open_qa, caption or classification."""
    selector: str = "rices"
    """random, concept, rices or document."""
    order: str = "random"
    """random, similar_last, similar_first or document; where labels are balanced, within each label."""
    shots: list[Shots] | dict[Shots, float] = Field(default=[0, 1, 2, 4, 8])
    """Demonstrations in all: a list (equal shares) or a distribution {shots: share}."""
    ways: Ways | list[Ways] = 2
    """Options of a multiple choice, labels of a classification: a number or a list (equal shares)."""
    labels: Literal["real", "pseudo"] = "real"
    """Classification: class names, or made-up words that only the demonstrations define."""
    answers: Literal["balanced", "free"] = "balanced"
    """balanced: no label is right more often than another, and in open QA and captions demonstrations share the query's
    answer as often as chance has it. free: distractors and answers come as the selector ranks them."""
    share: float = Field(default=1.0, gt=0.0)
    """Weight of this plan among those a query is fit for."""

    @field_validator("shots")
    @classmethod
    def _some_shots(cls, shots: list[int] | dict[int, float]) -> list[int] | dict[int, float]:
        if not shots or (isinstance(shots, dict) and (min(shots.values()) < 0 or sum(shots.values()) <= 0)):
            raise ValueError("give at least one number of shots, with shares that are not negative")
        return shots

    def shot_shares(self) -> dict[int, float]:
        """{shots: share of this plan}, summing to 1."""
        shares = self.shots if isinstance(self.shots, dict) else dict.fromkeys(self.shots, 1.0)
        total = sum(shares.values())
        return {shots: share / total for shots, share in sorted(shares.items()) if share > 0}

    def way_counts(self) -> list[int]:
        """All numbers of options asked for, ascending."""
        return sorted(set(self.ways)) if isinstance(self.ways, list) else [self.ways]


DEFAULT_PLANS = (
    Plan(format="multiple_choice", selector="rices", shots=[0, 1, 2, 4, 8], ways=[2, 4], share=0.3),
    Plan(format="multiple_choice", selector="concept", shots=[2, 4, 8], ways=[2, 4], share=0.12),
    Plan(format="open_qa", selector="rices", shots=[0, 1, 2, 4, 8], share=0.2),
    Plan(format="open_qa", selector="random", shots=[1, 2, 4], share=0.05),
    Plan(format="caption", selector="rices", order="similar_last", shots=[0, 1, 2, 4, 8], share=0.13),
    Plan(format="caption", selector="random", shots=[1, 2, 4], share=0.05),
    Plan(format="classification", selector="random", shots=[2, 4, 8], ways=2, labels="pseudo", share=0.1),
    Plan(format="classification", selector="rices", shots=[2, 4, 8], ways=2, labels="real", share=0.05),
)


class EpisodeSettings(Settings):
    """How episodes are built from demonstrations and neighbours."""

    episodes: list[Plan] = Field(default=list(DEFAULT_PLANS), min_length=1)
    """The kinds of episodes to build."""
    per_query: int = Field(default=1, ge=1, le=100)
    """Episodes for each query."""
    limit: int | None = Field(default=None, ge=1)
    """At most this many queries, a random sample; null uses every demonstration as a query once."""
    seed: int = 0
    """Seed of everything random."""
    guard: GuardSettings = Field(default_factory=GuardSettings)
    """What an episode must not hold."""
    neighbours: int = Field(default=64, ge=1, le=4096)
    """Nearest neighbours looked at for a query."""
    pseudowords: int = Field(default=COUNT, ge=32)
    """Made-up words that labels are drawn from. A few words become habits: what is trained on them stays with them."""
    min_concept_size: int = Field(default=2, ge=2)
    """Concepts with fewer demonstrations give no options."""
    max_images: int = Field(default=8, ge=1, le=64)
    """Demonstrations with more images are not used."""
    partition: int = Field(default=2048, ge=1)
    """Queries in a part; options, positions and distractors are balanced within each part."""
    templates: str = Field(default="", exclude=True)
    """Folder with FORMAT.yaml files that replace the built-in wordings; what they say is hashed, not where they lie."""


class LintSettings(Settings):
    """What the linter holds against a set of episodes."""

    margin: float = Field(default=0.05, ge=0.0, le=1.0)
    """A judged shortcut fails when the lower end of its interval, widened for the number of rules judged, is above chance
    by more than this."""
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0)
    """Confidence of the Wilson intervals, and that a sound set passes all rules together (Bonferroni)."""
    perceptual_bits: int | None = Field(default=4, ge=0, le=63)
    """Images within this many perceptual-hash bits count as the same; null compares refs alone."""
    max_leaks: int = Field(default=0, ge=0)
    """Episodes that may show their query's image or document among the demonstrations; those whose selector asks for the
    document are counted and do not fail."""
    max_duplicates: int = Field(default=0, ge=0)
    """Episodes that may repeat another one, or an image within themselves."""
