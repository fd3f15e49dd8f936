"""What runs in the engine's workers: which texts' tokens a pass computes, and hooks that read their states.

Owns `StateWorker`, which vLLM adds to its own worker class (`worker_extension_cls`), and whose methods are called on
all workers. The first one writes the states; the others, which hold other parts of the same matrices, only compute.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from lit_experiments.lm.layouts import Layout
from lit_experiments.lm.vllm_engine.regions import MappedRegions, Plan, views
from lit_experiments.lm.vllm_engine.sampling import RaceProcessor
from lit_experiments.lm.vllm_engine.scorer import Scorer, head_of
from lit_experiments.lm.vllm_engine.taps import Filler, Piece, same_places, site_hook

ROW = "lit_row"  # in a request's `extra_args`: which of the plan's texts it is


class StateWorker:
    """Added to vLLM's worker, whose `model_runner` it looks into."""

    model_runner: Any

    def lit_begin_reading(self, plan: Plan, layout: Layout) -> None:
        """From now on, what passes compute goes where `plan` says. Raises ModelError for a site that is not there."""
        self.lit_reading = _Reading(self.model_runner, plan, layout, _regions(self))

    def lit_end_reading(self) -> list[list[int]] | None:
        """Per reading and site, how many tokens were written; None from workers that only take part in computing."""
        reading = self.lit_reading
        del self.lit_reading
        return reading.end()

    def lit_begin_sampling(self, plan: Plan) -> None:
        """From now on, what is sampled is scored where `plan` says."""
        self._lit_race().scores = views(plan, _regions(self).open(plan.path)) if _is_first() else None

    def lit_end_sampling(self) -> None:
        """The opposite."""
        self._lit_race().scores = None

    def _lit_race(self) -> RaceProcessor:
        processors = self.model_runner.input_batch.logitsprocs.non_argmax_invariant
        (race,) = (one for one in processors if isinstance(one, RaceProcessor))
        return race


def _regions(worker: Any) -> MappedRegions:
    if not hasattr(worker, "lit_regions"):
        worker.lit_regions = MappedRegions()
    regions: MappedRegions = worker.lit_regions
    return regions


def _is_first() -> bool:
    """Whether this worker writes for those that hold the other parts of the same blocks."""
    from vllm.distributed import get_tensor_model_parallel_rank

    return get_tensor_model_parallel_rank() == 0


class _Reading:
    """One plan while it is carried out: hooks on the sites of this worker, and what they fill."""

    def __init__(self, runner: Any, plan: Plan, layout: Layout, regions: MappedRegions) -> None:
        self.runner, self.first = runner, _is_first()
        held = views(plan, regions.open(plan.path))
        self.fillers = [
            Filler(reading, part, runner.device)
            for reading, part in zip(plan.readings, held.readings, strict=True)
            if self.first
        ]
        scores = plan.next_logits or plan.log_probs
        self.scorer = Scorer(plan, held, head_of(runner.model), self.first) if scores else None
        self.handles: list[Any] = []
        # Not on the body: vLLM calls its `forward` past the hooks.
        first = runner.model.get_submodule(f"{layout.blocks}.0")
        self.handles.append(first.register_forward_pre_hook(self._begin))
        try:
            self._attach(plan, layout)
        except BaseException:
            self._remove()
            raise

    def _attach(self, plan: Plan, layout: Layout) -> None:
        model = self.runner.model
        for name, sites in same_places(plan.sites, len(model.get_submodule(layout.blocks))).items():
            self.handles.append(site_hook(model, layout, name, partial(self._fill, sites)))
        if self.scorer is not None:
            self.handles.append(site_hook(model, layout, "final_norm", self.scorer.take))

    def _begin(self, *_: object) -> None:
        """Which texts' tokens this pass computes, in the order in which they are packed."""
        batch, bounds = self.runner.input_batch, self.runner.query_start_loc.np
        pieces = []
        for k, name in enumerate(batch.req_ids):
            row = (self.runner.requests[name].sampling_params.extra_args or {}).get(ROW)
            if row is not None:
                start, offset = int(batch.num_computed_tokens_cpu[k]), int(bounds[k])
                pieces.append(Piece(row, start, int(bounds[k + 1]) - offset, offset))
        for filler in self.fillers:
            filler.begin(pieces)
        if self.scorer is not None:
            self.scorer.begin(pieces)

    def _fill(self, sites: list[int], state: torch.Tensor) -> None:
        for filler in self.fillers:
            filler.take(sites[0], state)
            for k in sites[1:]:
                filler.take_again(sites[0], k, state)

    def end(self) -> list[list[int]] | None:
        self._remove()
        return [filler.written for filler in self.fillers] if self.first else None

    def _remove(self) -> None:
        for handle in self.handles:
            handle.remove()
