"""Multinomial logistic regression as a LightningModule: one epoch is one pass that evaluates every problem once.

The first pass adds up means, scales and class counts. Then every layer, held-out fold, penalty and target (shuffled
ones too) is a problem of `class_problems`, all moved in lock-step by `lbfgs`, one evaluation a pass; last, each layer
and target is fitted to the whole training part at its chosen penalty, starting from its folds' mean. When the
optimiser's state of all problems would not fit `memory_bytes`, they are taken in waves; where the rows of all layers
would not fit, the layers are taken in groups, one after another. Owns this schedule, how it is checkpointed (at the end
of a pass: a resumed run repeats the pass that was cut) and merged over ranks.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from lit_experiments.probes.blocks import TEST, Block
from lit_experiments.probes.class_forecast import LogisticSize
from lit_experiments.probes.class_parts import ClassLabels, ClassWeight
from lit_experiments.probes.class_problems import Coordinates, add_block
from lit_experiments.probes.class_rows import RowReader, find_origin
from lit_experiments.probes.class_search import Search, Settings
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.class_sums import ClassSums, Sample, Standard, eigenbasis, layer_bytes
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.forecast import Forecast
from lit_experiments.probes.pass_module import PassModule
from lit_experiments.probes.solve import check_choice, check_penalties


class LogisticProbe(PassModule):
    """Penalised multinomial logistic regression for all layers and penalties of a `BlockDataModule` at once.

    The data has one real target, whose values are class codes (NaN: no label, left out).

    classes: names of the classes, in the order of their codes. penalties: to choose from by cross-validation; see
    `class_problems` for what is minimised. tolerance: relative distance to the minimum at which a fit has converged,
    as L-BFGS estimates it. max_iterations: steps of a fit. held_out: how many of the data's folds are held out in turn
    to choose (None: all). memory_bytes: the training rows of so many layers as fit stay in memory, and the other layers
    come afterwards; where one layer's do not fit, every pass reads them again. The optimiser's state gets as many
    bytes. history: pairs that L-BFGS remembers. class_weight: see
    `class_parts`; it weighs the loss, not the standardisation (scikit-learn's StandardScaler, then
    LogisticRegression(class_weight=...)), and the held-out scores. Weights of the data's rows weigh all of these.

    `--precision 64-true` multiplies in float64; all others in float32. Train with max_epochs -1: it stops by itself,
    and `probe.solution` then holds the fits, equal on every rank. Logged under `log_name` after each pass: how many
    fits go on, and the mean of their losses over the training rows; as layers are done, their cross-validated
    accuracy, with the layer as the step.
    """

    key = "logistic_pass"
    log_name = "logistic"

    def __init__(
        self,
        classes: list[str],
        penalties: list[float],
        tolerance: float,
        max_iterations: int,
        memory_bytes: int,
        held_out: int | None = None,
        history: int = 10,
        class_weight: ClassWeight = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.classes, self.penalties = check_classes(classes), check_penalties(penalties)
        check_limits(tolerance, max_iterations, history)
        self.tolerance, self.max_iterations, self.history = tolerance, max_iterations, history
        self.memory_bytes, self.held_out, self.class_weight = memory_bytes, held_out, class_weight
        self._passes = 0
        self._groups: list[list[int]] = []
        self._parts: list[ClassSolution] = []
        self._search: Search | None = None
        self._solution: ClassSolution | None = None

    @property
    def solution(self) -> ClassSolution:
        """The fits. Raises ProbeError while there are none."""
        if self._solution is None:
            where = "" if self._search is None else f", {self._search.progress()}"
            raise ProbeError(
                f"The fits are not complete: {self._passes} passes over the data are done{where}. "
                "Run it again with --ckpt_path last."
            )
        return self._solution

    def begin(self, data: BlockDataModule, device: torch.device) -> None:
        """Forget everything."""
        self._solution, self._search, self._passes, self._parts = None, None, 0, []
        self._settings(data)
        self._groups = self._layer_groups(data)

    def take_up(self, state: dict[str, Any], data: BlockDataModule, device: torch.device) -> None:
        """Go on after the last whole pass."""
        self._groups, self._passes = state["groups"], state["passes"]
        self._parts = [ClassSolution.of_state(part) for part in state["parts"]]
        if state["search"] is not None:
            self._search = Search.restored(state["search"], self._settings(data), device)
        self._finish()

    def on_fit_start(self) -> None:
        """Begin or take up, and open the layers that are next."""
        super().on_fit_start()
        # Every group of layers has blocks of its own.
        self.trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]
        if self._solution is None:
            self._open()

    def _open(self) -> None:
        """The group of layers that is next, and which of its rows can stay in memory."""
        data, layers = self.data_module(), self._groups[len(self._parts)]
        data.only_layers(None if len(layers) == len(data.layers) else layers)
        device = torch.device("cpu") if self.device.type == "mps" else self.device
        going_on = self._search
        origin = find_origin(data, device, self._row_dtype) if going_on is None else going_on.coordinates.origin
        keep = len(layers) * self._row_bytes(data) <= self.memory_bytes * self.trainer.world_size
        train = data.fold != TEST
        self._sample = Sample.of(train, len(layers), data.hidden, self.memory_bytes // 2)
        table = self._class_table(data)
        self._reader = RowReader(data, self.classes, origin, self._row_dtype, keep, table, self._sample.place)
        data.read_with(self._reader.fetch)

    @property
    def _row_dtype(self) -> torch.dtype:
        return torch.float64 if self.trainer.precision == "64-true" else torch.float32

    def _row_bytes(self, data: BlockDataModule) -> int:
        """Of one layer's training rows."""
        return int((data.fold != TEST).sum()) * data.hidden * torch.finfo(self._row_dtype).bits // 8

    def _layer_groups(self, data: BlockDataModule) -> list[list[int]]:
        """As many layers at a time as memory allows with their rows; without them where not even one layer's fit."""
        rows = -(-self._row_bytes(data) // self.trainer.world_size)
        per_layer = layer_bytes(int((data.fold != TEST).sum()), data.hidden)
        if rows <= self.memory_bytes:
            together = max(1, self.memory_bytes // (rows + per_layer))
        else:
            together = max(1, self.memory_bytes // per_layer)
        layers = range(len(data.layers))
        return [[*layers[start : start + together]] for start in range(0, len(layers), together)]

    def on_train_epoch_start(self) -> None:
        """Empty sums, and the weights at which this pass evaluates."""
        data, origin = self.data_module(), self._reader.origin
        self.seen = torch.zeros(len(data.plan), dtype=torch.int64, device=origin.device)
        if self._search is None:
            self._sums = ClassSums.zeros(max(data.folds, 1), origin, len(data.targets), len(self.classes), self._sample)
        elif self._search.running is not None:
            self._proposal, self._totals = self._search.ask(), self._search.empty()

    def add(self, block: Block) -> None:
        """Its rows' sums, or values and gradients."""
        if self._solution is not None:
            return
        rows = self._reader.rows(block)
        if self._search is None:
            self._sums.add(rows)
        else:
            add_block(self._totals, *self._proposal, rows)

    def on_train_epoch_end(self) -> None:
        """Merge the ranks and take the step; a pass cut short is dropped and ends the run."""
        self._all_reduce()
        assert self.seen is not None
        if not bool(self.seen.all()):
            self.trainer.should_stop = True
            return
        self._passes += 1
        if self._search is None:
            self._search = self._standardised(self._sums)
            del self._sums
        else:
            self._search.tell(self._proposal, self._totals)
            loss = self._totals.loss.mean() / (self.data_module().fold != TEST).sum()
            self.log(f"{self.log_name}/loss", loss, batch_size=1, sync_dist=True)
        going_on = float(self._search.going_on())
        self.log(f"{self.log_name}/fits_going_on", going_on, batch_size=1, sync_dist=True)
        self._finish()
        if self._search is None and self._solution is None:
            self._open()

    def state_to_save(self) -> dict[str, Any] | None:
        """The state at the end of the last whole pass, which is the same on every rank."""
        if self._search is None and not self._parts:
            return None
        search = None if self._search is None else self._search.state_dict()
        parts = [part.state_dict() for part in self._parts]
        return {"groups": self._groups, "parts": parts, "search": search, "passes": self._passes}

    def _finish(self) -> None:
        """Conclude a group of layers whose fits are done, and with the last one everything."""
        if self._search is not None and self._search.running is None:
            before = sum(part.passes for part in self._parts)
            part = self._search.solution(self.classes, self._passes - before)
            for layer, accuracy in zip(self._groups[len(self._parts)], part.held_out_accuracy(), strict=False):
                self.log_by_layer("cv_accuracy", layer, {self.data_module().real_targets[0]: accuracy})
            self._parts.append(part)
            self._search = None
            del self._proposal, self._totals  # Trainer and module hold each other: what a module keeps stays for long
            self.data_module().read_with(None)
            self._reader.forget()
            del self._reader
        if len(self._parts) < len(self._groups):
            return
        solution, data = ClassSolution.of_layers(self._parts), self.data_module()
        if self.class_weight is not None:
            share = solution.share / torch.from_numpy(self._class_table(data)[0])
            solution = replace(solution, share=share / share.sum())
        self._solution = solution
        data.only_layers(None)
        self.trainer.should_stop = True

    def _standardised(self, sums: ClassSums) -> Search:
        counts = sums.classes.sum(0)[0].tolist()
        missing = [name for name, count in zip(self.classes, counts, strict=True) if not count]
        if missing:
            raise ProbeError(
                f"No training row has the class {', '.join(missing)} (of {int(sum(counts))} with a label). Leave it "
                "out of the classes, or collect more groups."
            )
        basis = [eigenbasis(sums, layer, self._sample.rank) for layer in range(len(sums.origin))]
        return Search(Coordinates(Standard.of(sums), sums.origin, basis), self._settings(self.data_module()))

    def foresee(self, data: BlockDataModule) -> Forecast | None:
        """Of the groups of layers that are left."""
        if self._solution is not None:
            return None
        size = LogisticSize(
            groups=tuple(len(layers) for layers in self._groups[len(self._parts) :]),
            rows=len(data.order),
            train_rows=int((data.fold != TEST).sum()),
            longest=data.longest_block(),
            folds=max(data.folds, 1),
            targets=len(data.targets),
            classes=len(self.classes),
            hidden=data.hidden,
            row_bytes=-(-self._row_bytes(data) // self.trainer.world_size),
            kept=self._reader.keep,
        )
        return size.forecast(self._settings(data))

    def identity(self, data: BlockDataModule) -> dict[str, Any]:
        """What must be the same to go on. Not the plan of blocks: a pass is taken up at its beginning."""
        about = {key: value for key, value in data.pass_identity().items() if key not in ("plan", "blocks")}
        about |= {"folds": hashlib.sha256(data.fold.tobytes()).hexdigest(), "precision": str(self.trainer.precision)}
        settings = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self._settings(data)).items()}
        weight = {} if self.class_weight is None else {"class_weight": self._class_table(data).tolist()}
        return about | {"classes": self.classes} | settings | weight

    def _settings(self, data: BlockDataModule) -> Settings:
        held = tuple(held_folds(data, len(self.penalties), self.held_out))
        return Settings(
            held, tuple(self.penalties), self.tolerance, self.max_iterations, self.history, self.memory_bytes
        )

    def _class_table(self, data: BlockDataModule) -> NDArray[np.float64]:
        """[T, K] what a class counts in the loss of each target."""
        if self.class_weight is None:
            return np.ones((len(data.targets), len(self.classes)))
        return ClassLabels.of(data, {data.real_targets[0]: self.classes}, self.class_weight).table

    def _all_reduce(self) -> None:
        if self.trainer.world_size > 1:
            for tensor in (*(self._sums if self._search is None else self._totals).tensors(), self.seen):
                dist.all_reduce(tensor)

    def data_module(self) -> BlockDataModule:
        """Data with one real target."""
        data = super().data_module()
        if len(data.real_targets) != 1:
            raise ProbeError("LogisticProbe trains on a BlockDataModule with one target, the class codes.")
        return data


def held_folds(data: BlockDataModule, penalties: int, held_out: int | None) -> list[int]:
    """The folds that are held out in turn, to choose among so many penalties and the data's layers.

    Raises:
        ProbeError: there is something to choose but only one fold, or fewer folds than are to be held out.
    """
    check_choice(penalties, len(data.layers), data.folds)
    if held_out is not None and not 1 <= held_out <= data.folds:
        raise ProbeError(f"held_out must lie between 1 and folds ({data.folds}), found {held_out}.")
    return list(range(held_out or data.folds)) if data.folds > 1 else []


def check_limits(tolerance: float, max_iterations: int, history: int) -> None:
    """Raises ProbeError unless the optimiser can work with these."""
    if not 0 < tolerance < 1 or max_iterations < 1 or history < 1:
        raise ProbeError(
            f"tolerance must lie between 0 and 1, max_iterations and history be at least 1; found {tolerance}, "
            f"{max_iterations}, {history}."
        )


def check_classes(classes: list[str]) -> list[str]:
    """The names; raises ProbeError unless there are two or more, all distinct."""
    names = [str(name) for name in classes]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ProbeError(f"A logistic probe needs two or more distinct classes, found {', '.join(names) or 'none'}.")
    return names
