"""The command line: verbs, configuration files, help, and errors without traceback."""

from lit_experiments.cli.main import console, main

__all__ = ["console", "main"]
