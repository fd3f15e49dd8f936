"""Whether weights and configuration belong together: what a model's files hold and what its modules have a place for.

Owns the list of tensors that files carry along and no model needs. Knows no files.
"""

import re
from collections.abc import Iterable
from typing import Any

from lit_experiments.lm.errors import ModelError, model_error
from lit_experiments.lm.info import ModelInfo

# Tensors that decide nothing: buffers that are computed from the configuration, and what training left behind.
_NEEDLESS = re.compile(
    r"(^|\.)rotary_emb\.inv_freq$"
    r"|(^|\.)(attn|attention)\.(bias|masked_bias)$"  # causal masks as buffers: GPT-2, GPT-J, GPT-Neo, GPT-NeoX of old
    r"|(^|\.)position_ids$"
    r"|(^|\.)decoder\.version$"  # fairseq's, in OPT
    r"|^v_head\."  # the value head of reinforcement learning, next to the language model's
    r"|\._extra_state$"  # Transformer Engine's scales for training in FP8
)
_UNTIED = re.compile(r"both are present in the checkpoints with different values")


def refuse_misfit(info: ModelInfo, report: dict[str, Any], warnings: list[str]) -> None:
    """Raises ModelError for weights that are missing, of another shape, or without a place in the model.

    report: Transformers' loading info. warnings: what it said on the way; what is no reason to stop stays in there.
    Transformers would fill what is missing with random numbers, leave out what has no place, and only warn.
    """
    missing = [*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])]
    if missing:
        raise _misfit(
            info, "do not fill the model that its config.json describes", "missing or of another shape", missing
        )
    homeless = [key for key in report["unexpected_keys"] if not _NEEDLESS.search(key)]
    if homeless:
        raise _misfit(
            info, "hold more than the model that its config.json describes", "without a place in it", homeless
        )
    failed = [*report.get("error_msgs", ())]
    if failed:
        raise _misfit(info, "cannot be put into the model that its config.json describes", "failed", failed)
    if any(_UNTIED.search(line) for line in warnings):
        raise model_error(
            f"The weights of {info.spec.model!r} hold an output embedding that differs from the input embedding, but "
            "config.json ties the two.",
            where=str(info.located.folder),
            actual="tie_word_embeddings: true, and two different tensors",
            next_step="set tie_word_embeddings to false in config.json if the file's own output embedding is meant",
        )


def _misfit(info: ModelInfo, what: str, how: str, names: Iterable[str]) -> ModelError:
    listed = sorted(names)
    return model_error(
        f"The weights of {info.spec.model!r} {what}.",
        where=str(info.located.folder),
        actual=f"{len(listed)} {how}: {', '.join(listed[:4])}" + (", ..." if len(listed) > 4 else ""),
        next_step="use the config.json that belongs to these weights",
    )
