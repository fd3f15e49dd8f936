"""What a layout is: where the residual stream runs in an architecture's own modules.

Owns the types. Which architecture has which layout stands in `architectures`. Knows nothing of hooks or tensors.
"""

from dataclasses import dataclass
from typing import Literal

Flow = Literal["sequential", "parallel", "post_norm", "rescaled", "mixer"]


@dataclass(frozen=True)
class Point:
    """One side of one module: `module` is a path below the block, `side` tells its input from its output.

    Blocks of more than one kind (attention here, a state space there) give the paths of all kinds, with `|` between
    them; each block has one of these. scale: what the block multiplies the module's output by before it adds it.
    """

    module: str
    side: Literal["input", "output"]
    scale: float = 1.0


@dataclass(frozen=True)
class Layout:
    """Module paths of one architecture.

    body: below the model, computes the last hidden state. blocks: below the model, the list of blocks. norm: below
    the model, the final norm, None where there is none. after_norm: what the body still applies between the norm and
    the head. attn_out, mlp_out: what is *added* to the residual stream (after Gemma-2's extra norms), None where that
    is the output of no single module. resid_mid: the residual stream between the two additions, None where there is no
    such moment. logit_scale, logit_cap: what the logits are multiplied by, and then softly capped at (None: not).
    flow: `sequential` (attention, then MLP), `parallel` (both read the block's input), `post_norm` (the stream is
    normalised after each addition, so it is no running sum), `rescaled` (the block also scales or gates the stream),
    `mixer` (a block is one part: attention, a state space or an MLP).
    """

    body: str
    blocks: str
    norm: str | None
    attn_out: Point | None
    mlp_out: Point | None
    resid_mid: Point | None
    flow: Flow = "sequential"
    after_norm: tuple[str, ...] = ()
    logit_scale: float = 1.0
    logit_cap: float | None = None
