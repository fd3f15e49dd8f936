"""Token ids as text, by the very tokenizer that made them: the store's fingerprint says which one that was."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from lit_experiments.lm.pieces import pieces_of
from stores import Store

_FILE = "tokenizer.json"


def pieces_of_ids(store: Store, ids: Sequence[int]) -> list[str] | None:
    """The text of each token; None where the tokenizer is not on this machine, or is another one by now."""
    file = _tokenizer_file(store)
    if file is None:
        return None
    tokenizer = _tokenizer(file)
    texts = tokenizer.decode_batch([[token] for token in ids], skip_special_tokens=False)
    return pieces_of([tokenizer.id_to_token(token) for token in ids], texts)


@lru_cache(maxsize=4)
def _tokenizer(file: Path) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(file))


def _tokenizer_file(store: Store) -> Path | None:
    """tokenizer.json of the store's model: of the Hub's commit, or of the content that the fingerprint names."""
    model = store.fingerprint.get("model")
    identity = model.get("model") if isinstance(model, dict) else None
    name = store.provenance.get("config", {}).get("options", {}).get("model")
    if not isinstance(model, dict) or not isinstance(identity, dict) or (model.get("adapter") or {}).get("tokenizer"):
        return None
    if "commit" in identity:
        return _of_hub(identity["repository"], identity["commit"])
    digest = (identity.get("tokenizer") or {}).get(_FILE)
    return _of_folder(name, digest) if isinstance(name, str) and digest else None


@lru_cache(maxsize=32)
def _of_hub(repository: str, commit: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(repository, _FILE, revision=commit)
    return Path(file) if isinstance(file, str) else None


@lru_cache(maxsize=32)
def _of_folder(name: str, digest: str) -> Path | None:
    from lit_experiments.lm.hashing import file_hash
    from lit_experiments.lm.locate import EMBEDDED, locate_model

    folder = locate_model(name, None, with_weights=False).folder if name == EMBEDDED else Path(name).expanduser()
    file = folder / _FILE
    return file if file.is_file() and file_hash(file) == digest else None
