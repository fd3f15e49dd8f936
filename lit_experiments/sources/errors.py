"""What can be wrong with data that a user points at."""


class SourceError(ValueError):
    """The data cannot be used. The message says which file and line, what was found, and what to do."""

    exit_code = 2
