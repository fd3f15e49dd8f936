"""Measure the embedded model against its targets: `python benchmarks/embedded.py [--folder MODEL]`.

Held-out cross-entropy against a Kneser-Ney trigram on the same tokens, shuffled against original paragraphs, arithmetic
solved by sampling and by which method, half precision against float32. About two minutes on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lit_experiments.embedded.recipe import SHIPPED, load_recipe
from lit_experiments.embedded.train import MODEL_FOLDER, documentation, show


def main() -> None:
    """Print the report of a model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--recipe", type=Path, default=SHIPPED, help="the recipe the folder was made by")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    print(show(recipe, documentation(recipe), options.folder))


if __name__ == "__main__":
    main()
