"""Taps: run a forward pass and hand over the hidden states at named sites.

Owns how a site becomes a hook on a module, to read the state there or to replace it. A hook's output may be a tensor or
a tuple, [batch, token, hidden] or (OPT) [batch * token, hidden]; a tap's sink always gets [batch, token, hidden]. A
tapped site that fires other than once is an error. Hooks run in the order in which they were set.
Knows nothing of padding, dtypes or stores.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.layouts import Layout, Point
from lit_experiments.lm.sites import Site, parse_site

Sink = Callable[[int, Tensor], None]
Act = Callable[[Tensor], Tensor | None]  # gets the state at a point; what it returns, if anything, takes its place


class ForwardComplete(Exception):
    """Raised inside a forward pass once every requested site has fired; caught by whoever asked for early stopping."""


class Tap:
    """Hooks for the sites of one forward pass. `sink(k, h)` gets the k-th site's state h [batch, token, hidden]."""

    def __init__(self, shape: tuple[int, int, int], n_sites: int, sink: Sink, stop_when_complete: bool) -> None:
        self.shape, self.sink, self.stop = torch.Size(shape), sink, stop_when_complete
        self.fired = [0] * n_sites

    def receive(self, k: int, name: str, tensor: Tensor) -> None:
        """Checks the k-th site's state and passes it on."""
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
            located = locate_site(model, layout, parse_site(name))
            stack.callback(attach(located, partial(tap.receive, k, name)).remove)
        yield
    wrong = {name: count for name, count in zip(sites, tap.fired, strict=True) if count != 1}
    if wrong:
        raise ModelError(f"Every site must fire once in a forward pass; these did not (site: times): {wrong}")


@dataclass(frozen=True)
class SitePoint:
    """Where a site is read: on one side, `input` or `output`, of a module. scale: the state is `scale` times that.
    device: where states are handed over, None for wherever the module computes them."""

    module: nn.Module
    side: str
    scale: float = 1.0
    device: torch.device | None = None


def locate_site(model: nn.Module, layout: Layout, site: Site) -> SitePoint:
    """Where a site (one that this layout has) is read."""
    return replace(_locate(model, layout, site), device=_home(model))


def _home(model: nn.Module) -> torch.device | None:
    """The first of several devices that compute a model's blocks; None for a single one."""
    places = dict.fromkeys(getattr(model, "hf_device_map", {}).values())
    computing = [place for place in places if place not in ("cpu", "disk", "meta")]
    return torch.device(computing[0]) if len(computing) > 1 else None


def _locate(model: nn.Module, layout: Layout, site: Site) -> SitePoint:
    if site.kind == "final_norm":
        assert layout.norm is not None, "resolve_sites refuses final_norm where there is none"
        return SitePoint(model.get_submodule(layout.norm), "output")
    if site.kind == "embed":
        return SitePoint(model.get_submodule(f"{layout.blocks}.0"), "input")
    block = model.get_submodule(f"{layout.blocks}.{site.layer}")
    if site.kind in ("resid_pre", "resid_post"):
        return SitePoint(block, "input" if site.kind == "resid_pre" else "output")
    point: Point | None = getattr(layout, site.kind)
    assert point is not None, "resolve_sites refuses a site that the layout lacks"
    return SitePoint(_one_of(block, point.module), point.side, point.scale)


def _one_of(block: nn.Module, paths: str) -> nn.Module:
    """The module at the first of `paths` (with `|` between them) that this block has."""
    modules = dict(block.named_modules())
    for path in paths.split("|"):
        if path in modules:
            return modules[path]
    raise ModelError(f"A block of {type(block).__name__} has no {paths.replace('|', ' or ')}.")


def attach(point: SitePoint, act: Act) -> torch.utils.hooks.RemovableHandle:
    """A hook that calls `act` with the state at `point` and, if it returns one, puts that in its place."""
    module, act = point.module, act if point.scale == 1 else _scaled(act, point.scale)
    act = act if point.device is None else _moved(act, point.device)
    if point.side == "output":

        def after(_module: nn.Module, _args: Any, output: Any) -> Any:
            if isinstance(output, Tensor):
                return act(output)
            changed = act(output[0])
            return None if changed is None else (changed, *output[1:])

        return module.register_forward_hook(after)

    def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        changed = act(args[0] if args else kwargs["hidden_states"])
        if changed is None:
            return None
        return ((changed, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": changed})

    return module.register_forward_pre_hook(before, with_kwargs=True)


def _scaled(act: Act, scale: float) -> Act:
    def scaled(output: Tensor) -> Tensor | None:
        state = output * scale
        changed = act(state)
        # Back to the module's own units; what was not changed stays as it was, bit for bit.
        return None if changed is None else torch.where(changed == state, output, changed / scale)

    return scaled


def _moved(act: Act, device: torch.device) -> Act:
    def moved(output: Tensor) -> Tensor | None:
        changed = act(output.to(device))
        return None if changed is None else changed.to(output.device)

    return moved
