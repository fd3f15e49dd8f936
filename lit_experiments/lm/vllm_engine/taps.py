"""Where a site lies in vLLM's modules, and what is read there: hooks that put states of packed texts in their places.

Owns `site_hook`, which knows vLLM's way of carrying the residual stream, and `Filler`, which knows whose tokens a pass
computes. vLLM's modules bear the names that Hugging Face's do, so an architecture's `Layout` holds for both; but its
blocks hand on what the last part gave and the stream before it as two tensors, which are added when next normalised,
so that the stream at a point is their sum. Runs in the engine's workers. Knows no requests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lit_experiments.lm.errors import model_error
from lit_experiments.lm.float16 import RowEncoder, UnroundedRows
from lit_experiments.lm.layouts import Layout, Point
from lit_experiments.lm.sites import Site, parse_site
from lit_experiments.lm.vllm_engine.regions import Reading, ReadingViews

Sink = Callable[[Tensor], None]


def site_hook(model: nn.Module, layout: Layout, name: str, sink: Sink) -> Any:
    """A hook that hands `sink` the packed states [token, hidden] at a site. Raises ModelError for a site that vLLM's
    modules do not have."""
    site = parse_site(name)
    if site.kind == "final_norm":
        assert layout.norm is not None, "resolve_sites refuses final_norm where there is none"
        return _after(_module(model, layout.norm, name), sink, whole=False)
    block = _module(model, f"{layout.blocks}.{site.layer or 0}", name)
    if site.kind in ("embed", "resid_pre"):
        return _before(block, sink)
    if site.kind == "resid_post":
        return _after(block, sink, whole=True)
    return _part_hook(block, layout, site, sink)


def same_places(names: Sequence[str], blocks: int) -> dict[str, list[int]]:
    """Which of these sites are one state, by the site that it is read at: what leaves a block enters the next one, so
    that a sum and a cast serve both. blocks: how many the model has."""
    places: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        site = parse_site(name)
        if site.kind == "embed":
            name = "resid_pre.0"
        elif site.kind == "resid_post" and site.layer is not None and site.layer + 1 < blocks:
            name = f"resid_pre.{site.layer + 1}"
        places.setdefault(name, []).append(k)
    return places


def _part_hook(block: nn.Module, layout: Layout, site: Site, sink: Sink) -> Any:
    point: Point | None = getattr(layout, site.kind)
    assert point is not None, "resolve_sites refuses a site that the layout lacks"
    module = _module(block, point.module, site.name)
    if point.side == "input":
        return _before(module, sink)
    return _after(module, sink if point.scale == 1 else lambda state: sink(state * point.scale), whole=False)


def _module(model: nn.Module, path: str, site: str) -> Any:
    modules = dict(model.named_modules())
    for one in path.split("|"):
        if one in modules:
            return modules[one]
    raise model_error(
        f"vLLM's {type(model).__name__} has no module {path}: site {site} cannot be had from it.",
        next_step="leave the site out, or use --engine transformers",
    )


def _before(module: nn.Module, sink: Sink) -> Any:
    """The stream that enters: a block's arguments are positions, hidden states and residual, a norm's the last two."""

    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        arguments = [*args, *(kwargs[name] for name in ("hidden_states", "residual") if name in kwargs)]
        sink(_stream([one for one in arguments if isinstance(one, Tensor) and one.is_floating_point()]))

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def _after(module: nn.Module, sink: Sink, whole: bool) -> Any:
    """What leaves: the stream, if it is `whole`, or the first of what leaves."""

    def hook(_module: nn.Module, _args: Any, output: Any) -> None:
        parts = [output] if isinstance(output, Tensor) else [part for part in output if isinstance(part, Tensor)]
        sink(_stream(parts) if whole else parts[0])

    return module.register_forward_hook(hook)


def _stream(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


@dataclass(frozen=True)
class Piece:
    """Tokens [start, start + count) of text `row`, which lie at `offset` of a pass's packed tokens."""

    row: int
    start: int
    count: int
    offset: int


class Filler:
    """Puts one reading's states of every pass where they belong. written: per site, how many tokens."""

    def __init__(self, reading: Reading, held: ReadingViews, device: torch.device) -> None:
        self.reading, self.held, self.device = reading, held, device
        self.encode: RowEncoder = UnroundedRows() if reading.unrounded else RowEncoder()
        self.positions = np.array([p for row in reading.rows for p in row], dtype=np.int64)
        self.first = np.cumsum([0, *map(len, reading.rows)])
        self.written = [0] * len(held.finite)
        self.source, self.target, self.text = (torch.empty(0, dtype=torch.int64) for _ in range(3))
        self.run: slice | None = None
        self.everything = False
        if reading.statistic is not None:
            held.values.fill_(0 if reading.statistic == "mean" else -torch.inf)

    def begin(self, pieces: Sequence[Piece]) -> None:
        """A pass over these pieces of texts begins."""
        parts = [self._places(piece) for piece in pieces]
        source, target, text = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(target, kind="stable")
        source, target, text = source[order], target[order], text[order]
        # Tokens of texts that come in order are one run of the memory, and are cast straight into it.
        together = len(target) > 0 and int(target[-1] - target[0]) + 1 == len(target)
        self.run = slice(int(target[0]), int(target[-1]) + 1) if together else None
        self.source = torch.from_numpy(source).to(self.device)
        self.target, self.text = torch.from_numpy(target), torch.from_numpy(text)
        self.everything = bool((source == np.arange(len(source))).all())

    def _places(self, piece: Piece) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first, stop = self.first[piece.row], self.first[piece.row + 1]
        positions = self.positions[first:stop]
        (inside,) = ((positions >= piece.start) & (positions < piece.start + piece.count)).nonzero()
        source = positions[inside] - piece.start + piece.offset
        return source, first + inside, np.full(len(inside), piece.row)

    def take(self, site: int, state: Tensor) -> None:
        """The packed states [token, hidden] of a site in this pass."""
        if len(self.target) == 0:
            return
        self.written[site] += len(self.target)
        if self.reading.statistic is None:
            self._store(site, state)
        else:
            self._pool(site, state.index_select(0, self.source).float())

    def take_again(self, taken: int, site: int, state: Tensor) -> None:
        """The same state as site `taken` had, at another site."""
        if self.reading.statistic is not None or self.run is None:
            self.take(site, state)
            return
        self.written[site] += len(self.target)
        for part in (self.held.values, self.held.exponents, self.held.finite):
            part[site, self.run] = part[taken, self.run]

    def _store(self, site: int, state: Tensor) -> None:
        held = self.held
        if self.run is not None and state.device.type == "cpu":
            whole = self.everything and len(state) == len(self.source)
            exponents, finite = self.encode(state, held.values[site, self.run], None if whole else self.source)
            held.exponents[site, self.run], held.finite[site, self.run] = exponents, finite
            return
        values = torch.empty(len(self.source), state.shape[1], dtype=held.values.dtype, device=state.device)
        exponents, finite = self.encode(state, values, self.source)
        held.values[site].index_copy_(0, self.target, values.cpu())
        held.exponents[site].index_copy_(0, self.target, exponents.cpu())
        held.finite[site].index_copy_(0, self.target, finite.cpu())

    def _pool(self, site: int, tokens: Tensor) -> None:
        tokens = tokens.cpu()
        self.held.finite[site].index_copy_(0, self.target, tokens.isfinite().all(-1))
        if self.reading.statistic == "mean":
            self.held.values[site].index_add_(0, self.text, tokens)
        else:
            spread = self.text[:, None].expand(-1, tokens.shape[1])
            self.held.values[site].scatter_reduce_(0, spread, tokens, "amax")
