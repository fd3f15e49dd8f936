"""Taps: run a forward pass and hand over the hidden states at named sites.

Owns how a site becomes a hook on a module. A hook's output may be a tensor or a tuple, [batch, token, hidden] or (OPT)
[batch * token, hidden]; the sink always gets [batch, token, hidden]. A site that fires other than once is an error.
Knows nothing of padding, dtypes or stores.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.layouts import Layout, Point
from lit_experiments.lm.sites import Site, parse_site

Sink = Callable[[int, Tensor], None]


class ForwardComplete(Exception):
    """Raised inside a forward pass once every requested site has fired; caught by whoever asked for early stopping."""


class Tap:
    """Hooks for the sites of one forward pass. `sink(k, h)` gets the k-th site's state h [batch, token, hidden]."""

    def __init__(self, shape: tuple[int, int, int], n_sites: int, sink: Sink, stop_when_complete: bool) -> None:
        self.shape, self.sink, self.stop = torch.Size(shape), sink, stop_when_complete
        self.fired = [0] * n_sites

    def receive(self, k: int, name: str, state: Any) -> None:
        """Checks the k-th site's state and passes it on."""
        tensor = state if isinstance(state, Tensor) else state[0]
        batch, token, hidden = self.shape
        if tensor.shape == (batch * token, hidden):
            tensor = tensor.view(batch, token, hidden)
        if tensor.shape != self.shape:
            raise ModelError(f"Site {name} gave shape {tuple(tensor.shape)}, not {tuple(self.shape)}.")
        self.fired[k] += 1
        self.sink(k, tensor)
        if self.stop and all(self.fired):
            raise ForwardComplete


@contextmanager
def tapped(model: nn.Module, layout: Layout, sites: Sequence[str], tap: Tap) -> Iterator[None]:
    """Hooks `sites` for the duration of one forward pass, and checks afterwards that each fired exactly once."""
    with ExitStack() as stack:
        for k, name in enumerate(sites):
            module, side = _locate(model, layout, parse_site(name))
            stack.callback(_hook(module, side, k, name, tap).remove)
        yield
    wrong = {name: count for name, count in zip(sites, tap.fired, strict=True) if count != 1}
    if wrong:
        raise ModelError(f"Every site must fire once in a forward pass; these did not (site: times): {wrong}")


def _locate(model: nn.Module, layout: Layout, site: Site) -> tuple[nn.Module, str]:
    if site.kind == "final_norm":
        assert layout.norm is not None, "resolve_sites refuses final_norm where there is none"
        return model.get_submodule(layout.norm), "output"
    if site.kind == "embed":
        return model.get_submodule(f"{layout.blocks}.0"), "input"
    block = model.get_submodule(f"{layout.blocks}.{site.layer}")
    if site.kind in ("resid_pre", "resid_post"):
        return block, "input" if site.kind == "resid_pre" else "output"
    point: Point | None = getattr(layout, site.kind)
    assert point is not None, "resolve_sites refuses a site that the layout lacks"
    return block.get_submodule(point.module), point.side


def _hook(module: nn.Module, side: str, k: int, name: str, tap: Tap) -> torch.utils.hooks.RemovableHandle:
    if side == "output":
        return module.register_forward_hook(lambda _module, _args, output: tap.receive(k, name, output))

    def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tap.receive(k, name, args[0] if args else kwargs["hidden_states"])

    return module.register_forward_pre_hook(before, with_kwargs=True)
