"""`python collect.py --exp NAME`: run a language model over samples and write what it computes to a store."""

import sys

from lit_experiments.cli import console

if __name__ == "__main__":
    console(["collect", *sys.argv[1:]])
