"""Trains the head of the offline encoder, or judges the shipped one.

curate samples fetch NAME... --into DATA      (the names: curate.encoders.training.sources.SAMPLES)
python -m curate.encoders.training train --data DATA --cache CACHE [--out FILE]
python -m curate.encoders.training evaluate --data DATA --cache CACHE

On an idle core features take some ten minutes and are kept in CACHE; training takes five, judging three.
"""

import argparse
import sys
from itertools import chain
from pathlib import Path

from curate.encoders.offline import HEAD_FILE
from curate.encoders.training.head import Recipe
from curate.encoders.training.sources import check_data
from curate.errors import ShotcraftError


def train(data: Path, cache: Path, out: Path, recipe: Recipe) -> None:
    """Trains on all samples but the held-out concepts and writes the head file."""
    import numpy as np
    from safetensors.torch import save_file

    from curate.encoders.training.classes import imagenet_classes
    from curate.encoders.training.corpus import make_corpus
    from curate.encoders.training.features import Towers
    from curate.encoders.training.head import head_file, train_head
    from curate.encoders.training.sources import TRAINING, tuxpaint
    from curate.encoders.training.split import split_pairs

    towers = Towers(cache)
    read = {name: list(reader(data)) for name, reader in TRAINING.items()}
    seen = [towers.images(pairs, name) for name, pairs in read.items()]
    features, usable = (np.concatenate(arrays) for arrays in zip(*seen, strict=True))
    pairs = [pair for pair, good in zip(chain(*read.values()), usable, strict=True) if good]
    classes = imagenet_classes(towers)
    split = split_pairs(pairs, list(tuxpaint(data)))
    corpus = make_corpus(pairs, split, features[usable], classes, towers)
    save_file(head_file(train_head(corpus, recipe), corpus, classes, recipe), out)


def main() -> int:
    """The command line; exit 2 with one line when a sample is missing."""
    parser = argparse.ArgumentParser(prog="python -m curate.encoders.training", description="The offline encoder's head.")
    parser.add_argument("what", choices=["train", "evaluate"])
    parser.add_argument("--data", type=Path, required=True, help="folder that `curate samples fetch --into` filled")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the towers' features")
    parser.add_argument("--out", type=Path, default=HEAD_FILE, help="head file to write")
    parser.add_argument("--seed", type=int, default=0)
    wish = parser.parse_args()
    try:
        check_data(wish.data)
    except ShotcraftError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    if wish.what == "train":
        train(wish.data, wish.cache, wish.out, Recipe(seed=wish.seed))
    else:
        from curate.encoders.training.evaluate import evaluate

        sys.stdout.write(evaluate(wish.data, wish.cache) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
