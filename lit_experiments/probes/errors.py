"""The one error class of this package."""


class ProbeError(ValueError):
    """A mistake in what a probe was given. The message says what, where, found, allowed, and what to do next."""

    exit_code = 2
