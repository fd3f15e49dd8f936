"""What `probing_peers` hands to the script of a tool, and what the script hands back: one line of JSON.

Runs in the environments of the peers, so that it needs nothing but Python.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def request() -> tuple[list[str], list[int], str]:
    """Texts and labels (0 or 1) of the JSON Lines file, and the model's folder, that the command line names."""
    records = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    return [record["text"] for record in records], [record["label"] for record in records], sys.argv[2]


def options() -> dict[str, Any]:
    """Further options that the command line names."""
    chosen: dict[str, Any] = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    return chosen


def report(scores: dict[str, float], layer: str | None = None, statement: str = "") -> None:
    """Prints held-out AUROCs by layer.

    Args:
        scores: layer -> AUROC.
        layer: the one that the tool chose without the test part; None takes the best on the test part, which is what
            a user of a tool without such a choice reads off.
        statement: what the tool says of splits, copies and belief.
    """
    chosen = max(scores, key=lambda name: scores[name]) if layer is None else layer
    print(json.dumps({"scores": scores, "layer": chosen, "statement": statement}))
