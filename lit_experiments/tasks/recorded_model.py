"""The model that a store was collected from, as its provenance and fingerprint say it. Knows no weights."""

from __future__ import annotations

from typing import Any

from lit_experiments.lm.spec import ModelSpec


def recorded_spec(options: dict[str, Any], known: dict[str, Any]) -> ModelSpec:
    """options: those of the collect command. known: the fingerprint's `model`."""
    return ModelSpec(
        model=options["model"],
        adapter=options.get("adapter"),
        revision=options.get("revision"),
        dtype=known["dtype"],
        attn="auto" if "engine" in known else known["attn"],  # what another engine has is not to be had here
        device_map=options.get("device_map"),
        quantization=options.get("quantization"),
    )
