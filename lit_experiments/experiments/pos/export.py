"""The JSONL of resampled prefixes: a header with the global settings, then one object per prefix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import stores
from stores import Store

_PARAMETERS = ("temperature", "top_p", "max_new_tokens", "num_samples", "seed")


def jsonl_header(store: Store) -> dict[str, Any]:
    """The first line: everything that holds for all prefixes. `classes` is the order of every `probe_probs`."""
    settings = store.fingerprint["settings"]
    names = ["part", "conf_thresh", "order", "max_prefixes", "classes", "excluded_tags", "position", "treebank"]
    names.append("document_from")
    return {
        "record": "header",
        "study": "pos_resample",
        "prefixes": len(store),
        "generation_params": _parameters(store),
        "model_fingerprint": store.fingerprint["model"],
        "probe": settings["probe"],
        **{name: settings[name] for name in names},
    }


def jsonl_shape(store: Store) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The function that turns a row of this store into its record.

    `completions` hold the tokens as sampled, an end of text included, and the text without it.
    """
    parameters = _parameters(store)

    def record(row: dict[str, Any]) -> dict[str, Any]:
        return {
            "dataset_idx": row["dataset_idx"],
            "sent_id": row["sent_id"],
            "doc_id": row["doc_id"],
            "doc_from": row["doc_from"],
            "prefix": {
                "text": row["prefix_text"],
                "token_ids": row["prefix_ids"],
                "target_position": row["target_position"],
                "target_token": row["target_token"],
                "true_label": row["true_label"],
                "probe_probs": row["probe_probs"],
                "probe_pred": row["probe_pred"],
                "word": row["word"],
                "char_start": row["char_start"],
                "char_end": row["char_end"],
            },
            "sentence_text": row["sentence_text"],
            "generation_params": parameters,
            "completions": _completions(row),
        }

    return record


def _completions(row: dict[str, Any]) -> list[dict[str, Any]]:
    draws = zip(row["completions"], row["token_ids"], row["completion_length"], strict=True)
    return [{"text": text, "token_ids": tokens[: int(length)]} for text, tokens, length in draws]


def _parameters(store: Store) -> dict[str, Any]:
    settings = store.fingerprint["settings"]
    return {"model": _model(store), "layer": settings["layer"]} | {name: settings[name] for name in _PARAMETERS}


def _model(store: Store) -> str:
    """The model as it was named, or a hash of its weights where the store does not say."""
    options = store.provenance.get("config", {}).get("options", {})
    return str(options.get("model") or stores.fingerprint_hash(store.fingerprint["model"])[:16])
