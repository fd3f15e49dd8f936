"""Collect what a language model computes, and learn from it.

    import lit_experiments as lit

    store = lit.collect(texts, "meta-llama/Llama-3.1-8B", sites="resid_post.*", label_columns=["kind"])
    probes = lit.fit_probes(store, "kind")
    probes.curve, probes.best, probes.predict(["A new text."])
    lit.steer(probes.best, prompts, strengths=[-4, 0, 4])
    lit.push(probes.best, "hf://me/kind")

What is offered here is loaded when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lit_experiments.api.activations import collect
    from lit_experiments.api.hub import pull, push
    from lit_experiments.api.probes import Probe, Probes, fit_probes
    from lit_experiments.api.steering import Steered, steer
    from stores import Store, open_store

__all__ = ["Probe", "Probes", "Steered", "Store", "collect", "fit_probes", "open_store", "pull", "push", "steer"]

_HOME = {
    "collect": "lit_experiments.api.activations",
    "fit_probes": "lit_experiments.api.probes",
    "Probe": "lit_experiments.api.probes",
    "Probes": "lit_experiments.api.probes",
    "steer": "lit_experiments.api.steering",
    "Steered": "lit_experiments.api.steering",
    "pull": "lit_experiments.api.hub",
    "push": "lit_experiments.api.hub",
    "open_store": "stores",
    "Store": "stores",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
