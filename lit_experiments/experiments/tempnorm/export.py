"""What other tools read of the study: a starting point's JSONL record, and the names of the ridges' pickles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stores import Store


def sklearn_files(results: Path) -> dict[str, Path]:
    """File name -> folder of the probe, for every eval length of a results folder, in the order of the lengths."""
    folders = sorted(results.glob("eval_*"), key=lambda folder: int(folder.name.removeprefix("eval_")))
    return {f"tempnorm_model_{folder.name}.pkl": folder for folder in folders}


def jsonl_shape(store: Store) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The function that turns a row of this store into its record.

    Keys: starting_point, starting_point_ids (exactly what the model read), starting_hidden_vector (a list; with several
    sites {site: list}), generations [{token_ids, generated_text, model_probs}], and for every eval length L
    individual_tempnorms_L, log_tempnorms_L, tempnorm_mean_L, tempnorm_variance_L. A continuation that ended early is
    cut at its end.
    """
    lengths, sites = store.schema.coords["eval_length"], store.schema.coords["layer"]

    def record(row: dict[str, Any]) -> dict[str, Any]:
        vectors = dict(zip(sites, row["starting_hidden"], strict=True))
        out = {
            "starting_point": row["starting_point"],
            "starting_point_ids": row["starting_point_ids"],
            "starting_hidden_vector": vectors if len(vectors) > 1 else vectors[sites[0]],
            "generations": [_generation(row, g) for g in range(len(row["token_ids"]))],
        }
        for place, length in enumerate(lengths):
            out[f"individual_tempnorms_{length}"] = row["tempnorm"][:, place]
            out[f"log_tempnorms_{length}"] = row["log_tempnorm"][:, place]
            out[f"tempnorm_mean_{length}"] = row["tempnorm_mean"][place]
            out[f"tempnorm_variance_{length}"] = row["tempnorm_variance"][place]
        return out

    return record


def _generation(row: dict[str, Any], g: int) -> dict[str, Any]:
    end = int(row["generation_length"][g])
    return {
        "token_ids": row["token_ids"][g, :end],
        "generated_text": row["generated_text"][g],
        "model_probs": np.exp(row["log_probs"][g, :end].astype(np.float64)),
    }
