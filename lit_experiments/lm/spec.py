"""Which model, in which precision: the user's choice, before anything is read. Knows no library."""

from dataclasses import dataclass

from lit_experiments.lm.errors import model_error, nearest

ENGINES = ("transformers", "vllm")
DTYPES = ("float32", "bfloat16", "float16")
ATTENTION = ("auto", "eager", "sdpa", "flash_attention_2")


@dataclass(frozen=True)
class ModelSpec:
    """A model by name.

    model: `embedded`, a local folder in Hugging Face layout, or a Hub id. adapter: a PEFT adapter's folder or Hub id.
    revision: branch, tag or commit of a Hub id. dtype: what the weights are loaded in. attn: the attention
    implementation; `auto` is `sdpa` where the model allows it and `eager` where it does not (soft-capped attention),
    and `info.read_info` records which one that was. started: the time that a chat template is told, in ISO format; None
    takes the present. device_map: how the blocks are spread over devices, host memory and disk, None for all on one
    device. quantization: in how few bits the weights are held, None for `dtype`. Both as `placement` describes. engine:
    what computes (`engine.py`). tensor_parallel: over how many devices each matrix is split, pipeline_parallel: in how
    many stages the blocks lie; only the vLLM engine splits.
    """

    model: str
    adapter: str | None
    revision: str | None
    dtype: str
    attn: str
    started: str | None = None
    device_map: str | None = None
    quantization: str | None = None
    engine: str = "transformers"
    tensor_parallel: int = 1
    pipeline_parallel: int = 1

    def __post_init__(self) -> None:
        choices = (("dtype", self.dtype, DTYPES), ("attn", self.attn, ATTENTION), ("engine", self.engine, ENGINES))
        for name, value, allowed in choices:
            if value not in allowed:
                raise model_error(
                    f"Unknown {name} {value!r} for model {self.model!r}.",
                    allowed=", ".join(allowed),
                    next_step=nearest(value, allowed),
                )
        self._check_engine()

    def _check_engine(self) -> None:
        """Raises ModelError for options that this engine has no use for: none is dropped in silence."""
        split = {"tensor_parallel": self.tensor_parallel, "pipeline_parallel": self.pipeline_parallel}
        for name, value in split.items():
            if value < 1:
                raise model_error(f"--{name} cannot be {value}.", allowed="1 (not split) or more")
            if value > 1 and self.engine == "transformers":
                raise model_error(
                    f"The transformers engine does not split a model: --{name} {value}.",
                    next_step="--engine vllm, or --device_map auto for blocks on several devices",
                )
        if self.pipeline_parallel > 1:
            raise model_error(
                f"vLLM's stages of blocks do not work with this engine: --pipeline_parallel {self.pipeline_parallel}.",
                allowed="1",
                next_step="--tensor_parallel splits a model over devices",
            )
        placed = {"device_map": self.device_map, "quantization": self.quantization}
        placed["attn"] = None if self.attn == "auto" else self.attn
        for name, option in placed.items():
            if option is not None and self.engine == "vllm":
                raise model_error(
                    f"The vLLM engine has no --{name}.",
                    actual=f"--{name} {option}",
                    next_step=f"leave --{name} out, or use --engine transformers",
                )
