"""`python -m lit_experiments.cli`: the same as the `lit-experiments` script."""

from lit_experiments.cli.main import console

if __name__ == "__main__":
    console()
