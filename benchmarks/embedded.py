"""Measure the embedded model against its targets: `python benchmarks/embedded.py [--folder MODEL --adapter ADAPTER]`.

Held-out cross-entropy against a Kneser-Ney trigram on the same tokens, shuffled against original paragraphs, arithmetic
solved by sampling and by which method, questions answered, confidence with and without the adapter and its calibration,
half precision against float32. About three minutes on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lit_experiments.embedded.recipe import SHIPPED, load_recipe
from lit_experiments.embedded.train import ADAPTER_FOLDER, MODEL_FOLDER, documentation, show


def main() -> None:
    """Print the report of a model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=MODEL_FOLDER)
    parser.add_argument("--adapter", type=Path, default=ADAPTER_FOLDER)
    parser.add_argument("--recipe", type=Path, default=SHIPPED, help="the recipe the folder was made by")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    print(show(recipe, documentation(recipe), options.folder, options.adapter))


if __name__ == "__main__":
    main()
