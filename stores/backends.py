"""What a backend has to offer, and which there are.

A backend is a container for chunks. It gets plans of arrays, writes them into a new segment, and later says at which
bytes of which file each chunk lies (segment_files.py). Compression, checks and selection are shared (chunks.py,
gather.py).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Protocol, cast

from .chunks import Layout
from .errors import BackendMismatch
from .files import Files
from .schema import nearest
from .segment_files import FieldPlan, Located, WrittenFiles

BACKENDS = ("zarr", "hdf5")


class Backend(Protocol):
    """A module with these names is a backend."""

    def segment_name(self, number: int) -> str: ...
    def write_segment(
        self, files: Files, base: str, plans: list[FieldPlan], attributes: dict[str, Any]
    ) -> WrittenFiles: ...
    def locate_chunks(self, files: Files, base: str, name: str, layout: Layout) -> Located: ...
    def field_of(self, base: str, rel: str) -> str | None: ...


def backend(name: str) -> Backend:
    """The backend module by name; raises BackendMismatch for an unknown one."""
    if name not in BACKENDS:
        raise BackendMismatch(f"Unknown backend {name!r}{nearest(name, BACKENDS)}; allowed: {', '.join(BACKENDS)}.")
    module: ModuleType
    if name == "zarr":
        from . import zarr_backend as module
    else:
        from . import hdf5_backend as module
    return cast(Backend, module)
