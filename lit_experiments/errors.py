"""Errors that end a command: what the user sees instead of a traceback, and the exit code that goes with it.

Packages that know nothing of each other (`stores`, `lm`, ...) have error classes of their own; what they share is the
attribute `exit_code`, and the command line prints the message of any exception that carries one.
"""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USER = 2
EXIT_STOPPED = 75


class UserError(ValueError):
    """The user's mistake. The message says what, where, what was found, what is allowed or nearest, what to do."""

    exit_code = EXIT_USER


class Untestable(UserError):
    """Data with which a claim cannot be tested: too few groups, labels or classes. A training with several targets goes
    on without this one, whose claim is underpowered for the reason that is the message's first line."""

    @property
    def reason(self) -> str:
        """The first line."""
        return str(self).partition("\n")[0]


class RunFailed(RuntimeError):
    """The run cannot go on, through no mistake in the command. Everything committed so far is safe."""

    exit_code = EXIT_FAILED


class Stopped(RuntimeError):
    """A signal asked the run to stop; everything complete is committed and the same command resumes it."""

    exit_code = EXIT_STOPPED
