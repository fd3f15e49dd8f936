"""Temporary folders go to a disk where memory has no room for them, or takes other writes than a disk."""

import errno
import os
import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.scratch import folder_in_memory


def refuse(*_: object) -> int:
    raise OSError(errno.EINVAL, "Invalid argument")


def little(*_: object) -> Any:
    return SimpleNamespace(free=10**8, available=10**8)


@pytest.mark.parametrize(
    ("module", "name", "answer"),
    [(shutil, "disk_usage", little), (psutil, "virtual_memory", little), (os, "open", refuse)],
)
def test_memory_that_is_small_or_writes_otherwise_is_left_alone(
    module: Any, name: str, answer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if folder_in_memory() is None:
        pytest.skip("there is no folder in memory here, or no room in it")
    monkeypatch.setattr(module, name, answer)
    if name == "open":  # the file itself is made; only the second opening, past the page cache, is refused
        monkeypatch.setattr("tests.scratch.tempfile.NamedTemporaryFile", lambda dir: open(os.devnull))  # noqa: PTH123, SIM115
    assert folder_in_memory() is None
