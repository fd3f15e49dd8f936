"""Scores any texts with a saved probe: the states of its layer are read and scored on the device, and not stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.positions import Position
from lit_experiments.errors import UserError
from lit_experiments.experiments.activations.samples import TextSamples
from lit_experiments.experiments.activations.scores.page import write_scores
from lit_experiments.experiments.activations.table_collector import TextsCollector
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.probes.class_probe import log_softmax
from lit_experiments.probes.readout import Readout, open_readout, require_model
from stores import Column, Field, Records, Schema, Store

POSITIONS = ("last", "first", "mean", "max")
COLUMNS = (
    Column("score", "float64", "the target's prediction, or the probability of scored_class"),
    Column("scored_class", "string", "the class that score and token_scores are of, or the target"),
    Column("prediction", "string", "the most probable class; null for a target that is a number"),
    Column("probabilities", "list<float64>", "of all classes, in the probe's order; null for a target"),
    Column("tokens", "list<string>", "each token as text, special ones in front included"),
)


class ScoresCollector(TextsCollector):
    """For each text: what the probe says of it, and at each of its tokens."""

    version: ClassVar[int] = 1
    write_table = staticmethod(write_scores)

    def __init__(
        self, spec: ModelSpec, probe: str, class_: str | None = None, positions: str | None = None, **texts: Any
    ) -> None:
        """Loads the probe and reads the texts; no weights.

        Args:
            probe: Folder of a probe that was trained here, e.g. runs/activations/linear_probes/subject.
            class_: The class whose probability is the score; null takes the second of two, and of more the text's most
                probable one.
            positions: Which of a text's states the text's own score is of: last, first, mean or max; null takes what
                the probe's notes say, and last where they say nothing of the kind.

        Raises:
            UserError, ProbeError: no such probe or class, a probe of another model, texts that cannot be read.
        """
        self.probe: Readout = open_readout(Path(probe))
        self.output = self.probe.chosen(class_, free=True)
        super().__init__(spec, **texts)
        notes = require_model(self.probe, self.info.fingerprint(), self.info.d_model)
        self.position = _position(positions, self.probe)
        self.read_texts(0, [column.name for column in COLUMNS] + ["token_scores"])
        self._notes += [*notes, f"probe of {self.probe.layer}; a text's score is that of its state at: {self.position}"]

    def samples(self) -> Sequence[Sample]:
        return TextSamples(self.texts, [Position("all")], 0)

    def model_input(self, sample: Sample) -> list[int]:
        ids: list[int] = self.texts.table.value("ids", sample.payload)
        return ids

    def settings(self) -> dict[str, Any]:
        outputs = {"classes" if self.probe.classes else "targets": list(self.probe.outputs), "class": self.output}
        return {**super().settings(), "probe": self.probe.digest, **outputs, "position": self.position}

    def schema(self) -> Schema:
        base = self.layout.schema([Position("last")], [self.probe.layer], self.info.d_model)
        scores = Field(
            "token_scores", ("token",), (None,), "float64", "", "score at every token, special ones included"
        )
        return Schema((scores,), (*base.columns, *COLUMNS))

    def summary(self, store: Store) -> list[str]:
        scores = np.array(store.table(["score"]).column(0).to_pylist())
        low, middle, high = np.quantile(scores, [0, 0.5, 1])
        return [f"scores from {low:.4g} to {high:.4g}, median {middle:.4g}"]

    def collect(self, batch: Sequence[Sample]) -> Records:
        table = self.texts.table
        rows = [table.row(sample.payload) for sample in batch]
        sequences, layer = [row.ids for row in rows], self.probe.layer
        states = (
            next(iter(exact_states(self.lm, sequences, [layer]).values())).double().split(list(map(len, sequences)))
        )
        self._require_finite(states)
        columns, scores = [], []
        for sample, row, of_text in zip(batch, rows, states, strict=True):
            text_states = of_text[int(table.prefix[sample.payload]) :]
            text, tokens = self._outputs(_at(text_states, self.position)[None])[0], self._outputs(of_text)
            place = self._place(text)
            scores.append(tokens[:, place])
            columns.append(
                {"sample_id": sample.sample_id, "sample_index": sample.index}
                | self.layout.values(row, sample.group)
                | self._columns(text, place)
                | {"tokens": self.info.tokens.pieces(row.ids)}
            )
        lengths = {"token": np.array(list(map(len, sequences)))}
        return Records(columns, {"token_scores": np.concatenate(scores)}, lengths)

    def _outputs(self, states: Tensor) -> NDArray[np.float64]:
        """[row, K] predictions or probabilities of float64 states [row, hidden], computed where they are."""
        weights, intercept = (
            torch.from_numpy(np.ascontiguousarray(array)).to(states.device)
            for array in (self.probe.weights, self.probe.intercept)
        )
        outputs = (states @ weights.T + intercept).cpu().numpy()
        return np.exp(log_softmax(outputs)) if self.probe.classes else outputs

    def _place(self, outputs: NDArray[np.float64]) -> int:
        return int(outputs.argmax()) if self.output is None else self.probe.outputs.index(self.output)

    def _columns(self, outputs: NDArray[np.float64], place: int) -> dict[str, Any]:
        classes = self.probe.classes
        return {
            "score": float(outputs[place]),
            "scored_class": self.probe.outputs[place],
            "prediction": self.probe.outputs[int(outputs.argmax())] if classes else None,
            "probabilities": outputs.tolist() if classes else None,
        }

    def _require_finite(self, states: Sequence[Tensor]) -> None:
        for index, of_text in enumerate(states):
            broken = (~of_text.isfinite()).any(-1).nonzero()
            if len(broken):
                position, site = int(broken[0, 0]), self.probe.layer
                message = f"{self.info.name!r} computed NaN or infinity at site {site}, position {position}"
                raise NonFiniteStateError(message, index=index, site=site, position=position)


def _at(states: Tensor, position: str) -> Tensor:
    """The text's own state, [hidden], from those of its own tokens [token, hidden]."""
    if position in ("last", "first"):
        return states[-1 if position == "last" else 0]
    return states.mean(0) if position == "mean" else states.amax(0)


def _position(requested: str | None, probe: Readout) -> str:
    """Raises UserError for a position that a text's score cannot be of."""
    if requested is not None and requested not in POSITIONS:
        raise UserError(f"--positions must be one of {', '.join(POSITIONS)}, found {requested!r}.")
    noted = str(probe.notes.get("positions", "last")).removeprefix("hidden_")
    return requested or (noted if noted in POSITIONS else "last")
