"""Collects what a model writes while its states are moved along a probe's direction, and what the probe reads of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from lit_experiments.collecting.plan import Sample
from lit_experiments.experiments.steering.conditions import (
    Condition,
    Directions,
    check_strengths,
    conditions,
    layer_sets,
    reading_sites,
    steered_sites,
)
from lit_experiments.experiments.steering.prompts import Prompt, SampledPrompts
from lit_experiments.experiments.steering.rereading import as_rows, read_again
from lit_experiments.experiments.steering.schema import describe, make_schema, summary
from lit_experiments.experiments.steering.spread import measured_spreads
from lit_experiments.lm.continuations import Continuations
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.interventions import Ablate, Steer
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.pool import LatentPool, Pooled, Window
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.steering import RowChange
from lit_experiments.probes.readout import by_layer, open_readout, require_model
from lit_experiments.ranges import at_least
from lit_experiments.statistics.repetition import distinct, loops
from stores import Records, Schema, Store

ORDERS = (1, 2, 3)


class SteeringCollector(SampledPrompts):
    """For each prompt and condition: completions written while the states are moved, and what became of them."""

    version: ClassVar[int] = 2
    given: ClassVar[frozenset[str]] = frozenset({"strength"})
    describe = staticmethod(describe)

    def __init__(
        self,
        spec: ModelSpec,
        probe: str,
        class_: str | None,
        strengths: list[float],
        layers: list[int | list[int]] | None,
        ablate: bool,
        random_directions: int,
        begin: Literal["prompt", "last"],
        **kwargs: Any,
    ) -> None:
        """Checks the settings, loads the probe and reads the prompts.

        Args:
            probe: Folder of the probe whose direction is used, e.g. runs/activations/linear_probes/subject.
            class_: Whose direction it is, where the probe has more than two classes: against the mean of the others;
                null takes the second of two.
            strengths: How much of the direction is added, in multiples of its natural spread (the standard deviation of
                the states along it: the probe's training rows', or else that of the prompts' tokens). 0 is the model as
                it is, which is always collected.
            layers: Blocks at whose output it is added, each by itself; a list in the list is a set that is steered at
                once ([3, [2, 3]]); null takes the layer that the probe reads.
            ablate: Also take the direction out of the states.
            random_directions: Random directions, orthogonal to the probe's and of the same length, to do the same with.
            begin: Steer every token of prompt and completion (prompt), or from the prompt's last token on (last).

        Raises:
            UserError, ProbeError, SourceError, ModelError: settings that cannot be; a probe of another model.
        """
        check_strengths(strengths, ablate)
        at_least(0, random_directions=random_directions)
        readout = open_readout(Path(probe))
        output = readout.chosen(class_)
        assert output is not None
        super().__init__(spec, **kwargs)
        self._notes += require_model(readout, self.info.fingerprint(), self.info.d_model)
        readers = by_layer(readout)
        self.sets = layer_sets(layers, readout.layer, self.info)
        self.directions = Directions(readers, readout, output, self.seed)
        self.conditions = conditions(self.sets, strengths, ablate, random_directions)
        self.sites = reading_sites(self.sets, readers, readout.layer, self.info)
        self.begin: Literal["all", "last"] = "all" if begin == "prompt" else "last"
        self._spreads: dict[str, float] | None = None
        self._notes += self._about(readout.layer)

    def samples(self) -> Sequence[Sample]:
        samples: list[Sample] = []
        for prompt in self.prompts:
            tokens = (len(prompt.ids) + self.new_tokens) * self.completions
            for condition in self.conditions:
                payload = {"prompt": prompt, "condition": condition}
                name = f"{prompt.prompt_id}/{condition.name}"
                samples.append(Sample(name, len(samples), tokens, payload, group=prompt.prompt_id))
        return samples

    def summary(self, store: Store) -> list[str]:
        return summary(store)

    def settings(self) -> dict[str, Any]:
        sites = [*steered_sites(self.sets), *self.sites]
        return {
            **super().settings(),
            "probe": self.directions.settings(list(dict.fromkeys(sites))),
            "class": self.directions.output,
            "conditions": sorted(condition.name for condition in self.conditions),
            "begin": self.begin,
            "spread": {site: self.directions.noted_spread(site) or "prompts" for site in steered_sites(self.sets)},
        }

    def schema(self) -> Schema:
        return make_schema(self.completions, self.new_tokens, self.sites)

    def collect(self, batch: Sequence[Sample]) -> Records:
        prompts: list[Prompt] = [sample.payload["prompt"] for sample in batch]
        done = [sample.payload["condition"] for sample in batch]
        written, pooled = self._continued(prompts, [self._changes(condition) for condition in done])
        lengths = written.lengths.reshape(len(batch), self.completions).tolist()
        ids = written.token_ids.numpy().reshape(len(batch), self.completions, self.new_tokens)
        texts = [
            [draw[:length].tolist() for draw, length in zip(of_row, of_lengths, strict=True)]
            for of_row, of_lengths in zip(ids, lengths, strict=True)
        ]
        starts = [prompt.ids for prompt in prompts for _ in range(self.completions)]
        again = read_again(
            self.lm, starts, [text for row in texts for text in row], written.stopped.tolist(), self.sites
        )
        plain = as_rows(again.log_probs, self.new_tokens).reshape(ids.shape)
        arrays = {
            "token_ids": ids.astype(np.int32),
            "log_probs": written.log_probs.numpy().reshape(ids.shape),
            "unsteered_log_probs": plain.astype(np.float32),
            "completion_length": np.array(lengths, np.int32),
            "ended": written.stopped.numpy().reshape(ids.shape[:2]),
            "reading": self._readings(pooled.means[:, 0]).reshape(*ids.shape[:2], -1),
            "unsteered_reading": self._readings(again.states).reshape(*ids.shape[:2], -1),
            "perplexity": np.exp(-np.nanmean(plain, -1)),
            "distinct": np.array([[[distinct(text, n) for n in ORDERS] for text in row] for row in texts]),
            "looping": np.array([[loops(text) for text in row] for row in texts]),
        }
        rows = [self._row(sample, texts[i], arrays["ended"][i].tolist()) for i, sample in enumerate(batch)]
        return Records(rows, arrays)

    def _continued(self, prompts: list[Prompt], changes: list[list[RowChange]]) -> tuple[Continuations, Pooled]:
        """Every prompt's completions, one prompt's after the other's, and the means of their states."""
        decoder = Decoder(self.lm, (), self.stop_check)
        state = decoder.prefill([prompt.ids for prompt in prompts], changes=changes).fork(self.completions)
        keys = [StreamKey(self.seed, prompt.prompt_id, draw) for prompt in prompts for draw in range(self.completions)]
        pool = LatentPool(self.sites, [Window(1, self.new_tokens)])
        try:
            written = decoder.sample(
                state, self.new_tokens, self.sampling, keys, self.info.eos_ids, feed_last=False, pool=pool
            )
            return written, pool.result()
        except NonFiniteStateError as error:  # it names a row of the fork, the caller knows samples
            raise NonFiniteStateError(
                str(error), error.index // self.completions, error.site, error.position
            ) from error

    def _changes(self, condition: Condition) -> list[RowChange]:
        changes: list[RowChange] = []
        for site, amount in zip(condition.sites, self._amounts(condition), strict=True):
            unit = torch.from_numpy(self.directions.unit(condition.direction, site))
            if condition.strength is None:
                changes.append(Ablate(site, unit, self.begin))
            else:
                changes.append(Steer(site, unit, amount, self.begin))
        return changes

    def _amounts(self, condition: Condition) -> list[float]:
        """What is added at each site of the condition, in the units of the states."""
        return [(condition.strength or 0.0) * self._spread(site) for site in condition.sites]

    def _carried(self, condition: Condition) -> list[float] | None:
        """What is added to the reading at each site if the blocks in between carry the push on and do nothing else."""
        if condition.action == "ablate":
            return None
        order = {name: place for place, name in enumerate(self.info.sites)}
        pushes = [
            (order[site], amount * self.directions.unit(condition.direction, site))
            for site, amount in zip(condition.sites, self._amounts(condition), strict=True)
        ]
        weights = {site: self.directions.reader(site).score(self.directions.output)[0] for site in self.sites}
        return [
            float(sum(weights[site] @ push for place, push in pushes if place <= order[site])) for site in self.sites
        ]

    def _spread(self, site: str) -> float:
        if self._spreads is None:
            noted = {site: self.directions.noted_spread(site) for site in steered_sites(self.sets)}
            unknown = {site: self.directions.unit("probe", site) for site, value in noted.items() if value is None}
            measured = measured_spreads(self.lm, [prompt.ids for prompt in self.prompts], unknown) if unknown else {}
            self._spreads = {name: measured[name] if value is None else value for name, value in noted.items()}
        return self._spreads[site]

    def _readings(self, states: Tensor) -> np.ndarray:
        """[row, site] from mean states [row, site, hidden]; what the probe reads is linear, so that of a mean state is
        the mean over its tokens."""
        means = states.double().numpy()
        readings = np.empty(means.shape[:2])
        for place, site in enumerate(self.sites):
            weights, intercept = self.directions.reader(site).score(self.directions.output)
            readings[:, place] = means[:, place] @ weights + intercept
        return readings

    def _row(self, sample: Sample, texts: list[list[int]], ended: list[bool]) -> dict[str, Any]:
        prompt, condition = sample.payload["prompt"], sample.payload["condition"]
        shown = [text[:-1] if end else text for text, end in zip(texts, ended, strict=True)]
        return {
            "sample_id": sample.sample_id,
            "sample_index": sample.index,
            "prompt_id": prompt.prompt_id,
            "prompt": prompt.text,
            "prompt_text": prompt.shown,
            "input_ids": prompt.ids,
            "direction": condition.direction,
            "action": condition.action,
            "strength": condition.strength,
            "layers": list(condition.sites),
            "amounts": self._amounts(condition),
            "spreads": [self._spread(site) for site in condition.sites],
            "carried": self._carried(condition),
            "completions": [self.info.tokens.decode_after(prompt.ids, text) for text in shown],
        }

    def _about(self, layer: str) -> list[str]:
        """What to say of the conditions before the run."""
        sites = list(steered_sites(self.sets))
        measured = [site for site in sites if self.directions.noted_spread(site) is None]
        other = [site for site in dict.fromkeys([*sites, *self.sites]) if site not in self.directions.readers]
        lines = [f"{len(self.conditions)} conditions; class or target {self.directions.output}, probe of {layer}"]
        if measured:
            lines.append(f"natural spread measured on the prompts' tokens at {', '.join(measured)}")
        if other:
            lines.append(f"no probe of its own at {', '.join(other)}: that of {layer} is used there")
        return lines
