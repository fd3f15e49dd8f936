"""Which collection a task reads, and opening it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lit_experiments.errors import UserError
from stores import Store, open_store


@dataclass(frozen=True)
class Reads:
    """A task's input.

    experiment: the collection's name, as in `collect --exp NAME`. needs: fields and columns that the task uses.
    versions: of the collection's code (`version` of its Collector) that the task understands; None: any. empty: whether
    a store without rows can be read too. any_store: whoever filled it; `experiment` is then the one that is read where
    no run is named.
    """

    experiment: str
    needs: tuple[str, ...] = ()
    versions: tuple[int, ...] | None = None
    empty: bool = False
    any_store: bool = False

    def open(self, run: Path) -> Store:
        """The store of a run.

        Raises:
            UserError: it is another experiment's, was made by a version that the task does not understand, or is empty.
        """
        store = open_store(run / "store")
        names = {*store.column_names, *(field.name for field in store.schema.fields)}
        missing = [name for name in self.needs if name not in names]
        if missing:
            raise UserError(f"{store.path} is no store of {self.experiment}: it lacks {', '.join(missing)}.{self.next}")
        version = store.fingerprint.get("experiment", {}).get("version")
        if self.versions is not None and version is not None and version not in self.versions:
            known = ", ".join(map(str, self.versions))
            raise UserError(
                f"{store.path} was collected by version {version} of {self.experiment}; this reads version {known}."
                f"{self.next}"
            )
        if not len(store) and not self.empty:
            raise UserError(f"{store.path} holds no row yet.{self.next}")
        return store

    @property
    def next(self) -> str:
        """The line that says what to do about a wrong store."""
        such = "any run" if self.any_store else "such a run"
        return f"\nNext: python collect.py --exp {self.experiment}, or point --run at the folder of {such}."
