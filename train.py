"""`python train.py --exp NAME`: train probes or regressors from a store."""

import sys

from lit_experiments.cli import console

if __name__ == "__main__":
    console(["train", *sys.argv[1:]])
