"""Pictures with labels that a person has, and pictures that wait for one: folders, tables and runs, read alike."""

from curate.labelled.pictures import Pictures, Rejected
from curate.labelled.reading import Labelled, LabelledSet, LabelOf, read_labelled

__all__ = ["LabelOf", "Labelled", "LabelledSet", "Pictures", "Rejected", "read_labelled"]
