"""A port for a server that can't choose one by itself."""

import random
import socket
from contextlib import suppress

_RANGE = range(15_000, 32_000)  # below those that systems give to whoever asks for any


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has, and that nobody is given by chance until it is used.

    Raises:
        OSError: none was free in a hundred attempts.
    """
    for port in random.SystemRandom().sample(_RANGE, 100):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port of 127.0.0.1 among a hundred from {_RANGE[0]} to {_RANGE[-1]}")
