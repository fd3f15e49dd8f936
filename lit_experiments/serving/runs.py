"""The runs of a folder, and their stores as they are now."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from stores import Store, is_store, open_store

_HELD = 4  # stores whose index stays in memory
_State = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Run:
    """A folder with a store in it, or a store alone. name: by which addresses know it; base: the address of its
    folder's files."""

    name: str
    folder: Path
    store: Path
    base: str


def runs_in(root: Path) -> dict[str, Run]:
    """By name: the folder itself where it is a run or a store, and what lies directly in it. What a link leads out of
    the folder to is left out. root: resolved."""
    places = [root, *sorted(path for path in root.iterdir() if not path.name.startswith("."))]
    runs = [_run(root, path) for path in places if path.is_dir() and path.resolve().is_relative_to(root)]
    return {run.name: run for run in runs if run is not None}


def _run(root: Path, folder: Path) -> Run | None:
    base = "/" if folder == root else f"/{quote(folder.name)}/"
    if is_store(folder / "store") and (folder / "store").resolve().is_relative_to(root):
        return Run(folder.name, folder, folder / "store", base)
    if is_store(folder) and not (folder.name == "store" and folder.parent == root):  # the store of a run is the run's
        return Run(folder.name, folder, folder, base)
    return None


class OpenStores:
    """Stores that were looked at last; one to which something was committed is opened again."""

    def __init__(self) -> None:
        self._held: OrderedDict[Path, tuple[_State, Store]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path) -> Store:
        """A snapshot of the store. Raises stores.StoreError for a damaged one."""
        state = _state(path)
        with self._lock:
            held = self._held.pop(path, None)
            if held is None or held[0] != state:
                held = (state, open_store(path))
            self._held[path] = held
            while len(self._held) > _HELD:
                self._held.popitem(last=False)
        return held[1]


def _state(path: Path) -> _State:
    """What changes with every commit: the files that say how far each part went."""
    heads = sorted((path / "heads").glob("*.json"))
    stats = [(head.name, head.stat()) for head in (*heads, path / "store.json")]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
