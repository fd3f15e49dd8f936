"""Faults put into copies of small stores, and whether each is noticed: by `verify`, which must name the place, and by
reading, which must raise or give the very rows that were written.

    python benchmarks/storage_faults.py [--faults 1600] [--seed 0] [--dir FOLDER]

Prints how many were tried, named by `verify` and noticed by reading, per kind and backend; exit code 1 if one was
missed. A fault is drawn from its kind by a seeded generator, put into a copy, and the copy is thrown away.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import stores

SCHEMA = stores.Schema(
    (
        stores.Field("state", ("layer", "token", "hidden"), (2, None, 8), "float16", "1", ""),
        stores.Field("score", ("sample",), (None,), "float32", "nats", ""),
        stores.Field("ids", ("token",), (None,), "int64", "1", ""),
    ),
    (stores.Column("text", "string", ""),),
)
PARTS, COMMITS, ROWS = 2, 2, 3  # the last part gets one commit more
Rows = dict[str, object]


def make_store(path: Path, backend: str, salt: int) -> None:
    """A store whose files have the same sizes whatever the salt, so that one fits into another's place."""
    stores.create_store(path, SCHEMA, {"study": "faults"}, {}, backend)
    index = 0
    for part in range(PARTS):
        with stores.PartWriter(path, part, 1, 1e9, f"launch-{salt}") as writer:
            for _ in range(COMMITS + (part == PARTS - 1)):
                writer.append(records(range(index, index + ROWS), salt))
                index += ROWS


def records(indices: range, salt: int) -> stores.Records:
    """Rows of two tokens each."""
    rng = np.random.default_rng([salt, indices.start])
    n = len(indices)
    rows = [{"sample_id": f"s{i:03d}", "sample_index": i, "text": f"{rng.integers(10**8, 10**9)}"} for i in indices]
    arrays = {
        "state": rng.random((2, 2 * n, 8), np.float32) + 1,
        "score": rng.random(n, np.float32),
        "ids": rng.integers(2**40, 2**41, 2 * n),
    }
    return stores.Records(rows, arrays, {"token": np.full(n, 2)})


def content(path: Path) -> Rows:
    """Everything that reading gives."""
    store = stores.open_store(path)
    values: Rows = {field.name: store[field.name].read().tobytes() for field in SCHEMA.fields}
    return values | {"rows": store.table().to_pydict()}


class Fault:
    """A store to spoil, and whole others to take things from. A kind of fault returns the paths that it spoiled."""

    def __init__(self, store: Path, others: list[Path], rng: random.Random) -> None:
        self.store, self.others, self.rng = store, others, rng

    def files(self, store: Path | None = None) -> list[Path]:
        """Every file that was committed, in order."""
        return sorted(p for p in (store or self.store).rglob("*") if p.is_file() and not p.name.startswith("."))

    def folders(self) -> list[Path]:
        return sorted(p for p in self.store.rglob("*") if p.is_dir())

    def pick(self, paths: list[Path]) -> Path:
        """Any of them; a file's role first, so that array files don't crowd out the few others."""
        role = self.rng.choice(sorted({self.role(p) for p in paths}))
        return self.rng.choice([p for p in paths if self.role(p) == role])

    def role(self, path: Path) -> str:
        """What a path is in the store: "store.json", "heads", "rows", a field's name, ..."""
        rel = path.relative_to(next(s for s in (self.store, *self.others) if s in path.parents)).parts
        return "/".join(part.split("-")[0] for part in (rel[0], *rel[2:])) or rel[0]

    def bit_flip(self) -> list[Path]:
        file = self.pick(self.files())
        data = bytearray(file.read_bytes())
        data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        file.write_bytes(data)
        return [file]

    def truncation(self) -> list[Path]:
        file = self.pick(self.files())
        data = file.read_bytes()
        file.write_bytes(data[: self.rng.choice([0, 1, len(data) // 2, len(data) - 1, self.rng.randrange(len(data))])])
        return [file]

    def growth(self) -> list[Path]:
        file = self.pick(self.files())
        with file.open("ab") as end:
            end.write(self.rng.randbytes(self.rng.choice([1, 4, 100])))
        return [file]

    def zeroed_range(self) -> list[Path]:
        """As a disk may return a lost sector."""
        file = self.pick(self.files())
        data = bytearray(file.read_bytes())
        start = self.rng.randrange(len(data))
        stop = min(len(data), start + 512)
        while not any(data[start:stop]):
            start = max(0, start - 512)
        data[start:stop] = bytes(stop - start)
        file.write_bytes(data)
        return [file]

    def removed_file(self) -> list[Path]:
        file = self.pick(self.files())
        file.unlink()
        return [file]

    def removed_folder(self) -> list[Path]:
        folder = self.pick([f for f in self.folders() if any(p.is_file() for p in f.rglob("*"))])
        shutil.rmtree(folder)
        return [folder]

    def lost_last_commit(self) -> list[Path]:
        part = self.rng.choice(sorted((self.store / "parts").iterdir()))
        rows = sorted(part.glob("rows-*"))
        lost = rows[-self.rng.randint(1, len(rows)) :]
        for file in lost:
            file.unlink()
        return [lost[-1], part]

    def swap_within(self) -> list[Path]:
        """Two files of one role change places."""
        one = self.pick([f for f in self.files() if len(self.alike(f, self.store)) > 1])
        two = self.rng.choice([f for f in self.alike(one, self.store) if f != one])
        a, b = one.read_bytes(), two.read_bytes()
        if a == b:  # the same metadata twice: no fault
            return self.swap_within()
        one.write_bytes(b), two.write_bytes(a)
        return [one, two]

    def swapped_folders(self) -> list[Path]:
        """Two parts, or two segments, change places."""
        groups = [sorted((self.store / "parts").iterdir()), sorted(self.store.glob("parts/*/arrays-*"))]
        one, two = self.rng.sample(self.rng.choice(groups), 2)
        aside = self.store.parent / "aside"
        one.rename(aside), two.rename(one), aside.rename(two)
        return [one, two]

    def alike(self, file: Path, store: Path) -> list[Path]:
        return [f for f in self.files(store) if self.role(f) == self.role(file)]

    def foreign_file(self) -> list[Path]:
        """Another store's file of the same role in the place of ours, under our name."""
        file = self.pick(self.files())
        foreign = self.rng.choice(self.alike(file, self.rng.choice(self.others)))
        if foreign.read_bytes() == file.read_bytes():  # metadata that is the same everywhere
            return self.foreign_file()
        file.write_bytes(foreign.read_bytes())
        return [file]

    def foreign_part(self) -> list[Path]:
        """Another store's part, with its head or without, next to ours or in the place of one."""
        other = self.rng.choice(self.others)
        part = self.rng.choice(sorted((other / "parts").iterdir()))
        into = self.store / "parts" / self.rng.choice([part.name, "copied", *sorted(self.parts())])
        shutil.rmtree(into, ignore_errors=True)
        shutil.copytree(part, into)
        head = other / "heads" / f"{part.name}.json"
        if self.rng.random() < 0.5:
            shutil.copy(head, self.store / "heads" / head.name)
        return [into, self.store / "heads"]

    def parts(self) -> list[str]:
        return [p.name for p in (self.store / "parts").iterdir()]

    def foreign_commit(self) -> list[Path]:
        """Another store's rows file, under its own name, next to ours."""
        rows = self.pick(sorted(self.rng.choice(self.others).glob("parts/*/rows-*")))
        into = self.store / "parts" / self.rng.choice(self.parts()) / rows.name
        shutil.copy(rows, into)
        return [into]

    def renamed(self) -> list[Path]:
        """A part, a head, a segment or a commit under another name."""
        kind = self.rng.choice(["parts/*", "heads/*.json", "parts/*/arrays-*", "parts/*/rows-*"])
        path = self.rng.choice(sorted(self.store.glob(kind)))
        name = path.name.replace("-0000", "-0700").replace("launch", "renamed")
        new = path.rename(path.with_name(name))
        return [path, new, *(self.store / folder / name.removesuffix(".json") for folder in ("heads", "parts"))]

    def copied_part(self) -> list[Path]:
        """A part a second time, under another name."""
        part = self.rng.choice(sorted((self.store / "parts").iterdir()))
        shutil.copytree(part, part.with_name("again"))
        return [part.with_name("again")]

    def in_the_place_of_a_file(self) -> list[Path]:
        file = self.pick(self.files())
        file.unlink()
        self._obstruct(file, self.rng.choice(["folder", "fifo", "nothing", "loop", "device"]))
        return [file]

    def in_the_place_of_a_folder(self) -> list[Path]:
        folder = self.pick([f for f in self.folders() if any(p.is_file() for p in f.rglob("*"))])
        shutil.rmtree(folder)
        self._obstruct(folder, self.rng.choice(["file", "fifo", "nothing", "loop", "device", "folder"]))
        return [folder]

    def _obstruct(self, path: Path, what: str) -> None:
        """Something that is not what it should be."""
        if what == "folder":
            path.mkdir()
        elif what == "file":
            path.write_text("x")
        elif what == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to({"nothing": "gone", "loop": path.name, "device": "/dev/zero"}[what])

    def link_to_another(self) -> list[Path]:
        """A link to a file or folder of another store in the place of ours."""
        ours = self.pick([*self.files(), *self.folders()])
        other = self.rng.choice(self.others)
        theirs = other / str(ours.relative_to(self.store)).replace("launch-0", f"launch-{1 + self.others.index(other)}")
        if not theirs.exists():  # rows files carry their checksum in the name
            theirs = self.rng.choice(sorted(other.glob("parts/*/rows-*")))
        if bytes_below(ours) == bytes_below(theirs):
            return self.link_to_another()
        shutil.rmtree(ours) if ours.is_dir() else ours.unlink()
        ours.symlink_to(theirs)
        return [ours]


def bytes_below(path: Path) -> list[bytes]:
    """The content of a file, or of all files in a folder."""
    return [p.read_bytes() for p in (sorted(path.rglob("*")) if path.is_dir() else [path]) if p.is_file()]


KINDS: dict[str, Callable[[Fault], list[Path]]] = {
    name: getattr(Fault, name)
    for name in (
        *("bit_flip", "truncation", "growth", "zeroed_range", "removed_file", "removed_folder", "lost_last_commit"),
        *("swap_within", "swapped_folders", "foreign_file", "foreign_part", "foreign_commit", "renamed", "copied_part"),
        *("in_the_place_of_a_file", "in_the_place_of_a_folder", "link_to_another"),
    )
}


def is_named(path: Path, spoiled: list[Path]) -> bool:
    """Whether `verify` names a spoiled path, something inside it, or the folder it was in."""
    try:
        messages = [str(problem) for problem in stores.verify(path)]
    except stores.NotAStore as error:
        messages = [str(error)]
    return any(str(p) in message or f"{p.parent}: " in message for p in spoiled for message in messages)


def is_noticed(path: Path, expected: Rows) -> bool:
    """Whether reading raises, or else gives what was written."""
    try:
        return content(path) == expected
    except stores.StoreError:
        return True


def try_fault(kind: str, whole: Path, folder: Path, expected: Rows, rng: random.Random) -> tuple[bool, bool, str]:
    """(named by verify, noticed by reading, what was spoiled) of one fault in a fresh copy."""
    shutil.copytree(whole / "store", folder)
    try:
        fault = Fault(folder, [whole / "other", whole / "rerun"], rng)
        spoiled = KINDS[kind](fault)
        return is_named(fault.store, spoiled), is_noticed(fault.store, expected), ", ".join(map(str, spoiled))
    finally:
        shutil.rmtree(folder)


def run(backend: str, faults: int, seed: int, folder: Path) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Tried, named and noticed faults by kind; those missed are printed."""
    whole = folder / backend
    for salt, name in enumerate(("store", "other", "rerun")):
        make_store(whole / name, backend, salt)
    expected = content(whole / "store")
    tried, named, noticed = Counter[str](), Counter[str](), Counter[str]()
    for number in range(faults):
        kind = list(KINDS)[number % len(KINDS)]
        rng = random.Random(f"{seed} {backend} {number}")
        by_verify, by_reading, spoiled = try_fault(kind, whole, folder / "copy", expected, rng)
        tried[kind] += 1
        named[kind] += by_verify
        noticed[kind] += by_reading
        if not (by_verify and by_reading):
            print(f"MISSED fault {number} of {backend}, {kind}: verify {by_verify}, reading {by_reading}: {spoiled}")
    return tried, named, noticed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=1600, help="in all, half of them in each backend")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dir", default=None, help="where to write (default: a new temporary folder)")
    given = parser.parse_args()
    started = time.perf_counter()
    missed = total = 0
    print("| kind | backend | tried | named by verify | noticed by reading |\n|---|---|---|---|---|")
    for backend in ("zarr", "hdf5"):
        with tempfile.TemporaryDirectory(dir=given.dir) as folder:
            tried, named, noticed = run(backend, given.faults // 2, given.seed, Path(folder))
        for kind, n in tried.items():
            print(f"| {kind.replace('_', ' ')} | {backend} | {n} | {named[kind]} | {noticed[kind]} |")
            missed += n - min(named[kind], noticed[kind])
            total += n
    print(f"\n{total - missed} of {total} found and named, {time.perf_counter() - started:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
