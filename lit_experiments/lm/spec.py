"""Which model, in which precision: the user's choice, before anything is read. Knows no library."""

from dataclasses import dataclass

from lit_experiments.lm.errors import model_error, nearest

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
    device. quantization: in how few bits the weights are held, None for `dtype`. Both as `placement` describes.
    """

    model: str
    adapter: str | None
    revision: str | None
    dtype: str
    attn: str
    started: str | None = None
    device_map: str | None = None
    quantization: str | None = None

    def __post_init__(self) -> None:
        for name, value, allowed in (("dtype", self.dtype, DTYPES), ("attn", self.attn, ATTENTION)):
            if value not in allowed:
                raise model_error(
                    f"Unknown {name} {value!r} for model {self.model!r}.",
                    allowed=", ".join(allowed),
                    next_step=nearest(value, allowed),
                )
