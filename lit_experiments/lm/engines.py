"""From a `ModelSpec` to the engine that it names. Nothing of an engine is imported before it is asked for."""

import torch

from lit_experiments.lm.engine import Engine
from lit_experiments.lm.load import load
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.transformers_engine import TransformersEngine


def load_engine(spec: ModelSpec, device: str | torch.device) -> Engine:
    """The model of `spec` in its engine, its sites proven on short texts. Raises ModelError."""
    if spec.engine == "vllm":
        from lit_experiments.lm.vllm_engine.start import start

        return start(spec, torch.device(device))
    return TransformersEngine(load(spec, device))
