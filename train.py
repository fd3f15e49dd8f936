"""`python train.py --exp NAME`: train probes or regressors from a store."""

import sys

from lit_experiments.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
