"""What makes two models the same: hashes of the files' content, never their path.

Owns the hash cache (hashing 16 GB of weights once is enough): one small file per hashed file under the user's cache
folder, keyed by path, size and modification time. Knows no tensors.
"""

import contextlib
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lit_experiments.lm.folder import SETTINGS_FILES, TOKENIZER_FILES
from lit_experiments.lm.locate import Located, has_tokenizer, weight_files

VOLATILE = ("_name_or_path", "transformers_version", "base_model_name_or_path")


def model_identity(located: Located) -> dict[str, Any]:
    """Weights, configuration and tokenizer of a model: the commit of a Hub repository, content hashes of a folder."""
    if located.commit is not None:
        return {"repository": located.name, "commit": located.commit}
    folder = located.folder
    config, generation = (folder / name for name in SETTINGS_FILES)
    return {
        "weights": _hashes([*weight_files(folder), *sorted(folder.glob("*.index.json"))]),
        "config": _json_hash(config),
        "generation": _json_hash(generation) if generation.is_file() else None,
        "tokenizer": tokenizer_hashes(folder),
    }


def tokenizer_hashes(folder: Path) -> dict[str, str]:
    """Content hashes of the tokenizer's files, chat templates included, by their path below the folder."""
    paths = sorted({path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)})
    return dict(zip((str(path.relative_to(folder)) for path in paths), map(file_hash, paths), strict=True))


def adapter_identity(located: Located) -> dict[str, Any]:
    """Content hashes of an adapter, and of the tokenizer that it brings along; the base model's path, which its
    configuration carries, does not count."""
    return {
        "weights": _hashes(sorted(located.folder.glob("adapter_model.*"))),
        "config": _json_hash(located.folder / "adapter_config.json"),
        "tokenizer": tokenizer_hashes(located.folder) if has_tokenizer(located.folder) else None,
    }


def file_hash(path: Path) -> str:
    """sha256 of a file's content, remembered by path, size and modification time."""
    entry = _cache_entry(path)
    if entry.is_file():
        return entry.read_text(encoding="ascii")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # A cache that cannot be written (read-only home) costs time on the next start, nothing else.
    with contextlib.suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        partial = entry.with_suffix(f".{os.getpid()}")
        partial.write_text(digest, encoding="ascii")
        partial.replace(entry)
    return digest


def _cache_entry(path: Path) -> Path:
    status = path.stat()
    key = json.dumps([str(path.resolve()), status.st_size, status.st_mtime_ns])
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "lit_experiments" / "hashes" / hashlib.sha256(key.encode()).hexdigest()


def _hashes(paths: list[Path]) -> dict[str, str]:
    with ThreadPoolExecutor() as pool:
        return dict(zip((path.name for path in paths), pool.map(file_hash, paths), strict=True))


def _json_hash(path: Path) -> str:
    content = {key: value for key, value in json.loads(path.read_bytes()).items() if key not in VOLATILE}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
