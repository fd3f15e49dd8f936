"""The base class of every collection: what to visit, what to write, and how to compute it.

A study subclasses `Collector`, and knows nothing of devices, batching, resuming or storage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from lightning.pytorch import LightningModule

from lit_experiments.collecting.extending import PieceRecords, divided, united
from lit_experiments.collecting.inputs import INPUT_DIGEST, input_digest, payload_ids
from lit_experiments.collecting.plan import Batch, Sample
from lit_experiments.collecting.subset import rows_of
from lit_experiments.errors import RunFailed
from lit_experiments.lm.engine import Engine
from lit_experiments.lm.engines import load_engine
from lit_experiments.lm.errors import ModelError, NonFiniteStateError, SequenceError, model_error
from lit_experiments.lm.info import ModelInfo, read_info
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.transformers_engine import TransformersEngine
from stores import Records, Schema, Store

Item = TypeVar("Item")
Piece = TypeVar("Piece")


class Collector(LightningModule, ABC):
    """Runs a language model over samples; `predict_step` returns the rows that the writer commits.

    The language model is no submodule: it stays out of `state_dict` and of Lightning's device and dtype moves.

    Attributes:
        version: version of the study's code; raise it when the numbers it produces change.
        growing: names of settings, lists, that an existing run may be asked for more of (see `widen`).
        engines: which engines can compute what the study asks for; with the vLLM engine there is no `lm`.
        info: what is known of the model without its weights (layers, width, window, tokenizer).
        stop_check: called between steps of long loops; raises when the run has been asked to stop.
        given: columns of numbers that are the data's or the settings', which no model's noise excuses (see
            `given_columns`).
    """

    version: ClassVar[int] = 1
    given: ClassVar[frozenset[str]] = frozenset()
    engines: ClassVar[tuple[str, ...]] = ("transformers",)
    growing: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.check_engine(spec)
        self.spec = spec
        self.info: ModelInfo = read_info(spec)
        self.stop_check: Callable[[], None] = _never
        self.halvings = 0
        self._engine: Engine | None = None
        self.pieces: Sequence[Schema] = ()
        self.first_piece: Store | None = None

    @classmethod
    def check_engine(cls, spec: ModelSpec) -> None:
        """Raises ModelError for an engine that cannot compute what this study asks for."""
        if spec.engine not in cls.engines:
            raise model_error(
                f"{cls.__name__} reaches into the model, which the {spec.engine} engine does not allow.",
                allowed=f"--engine {' or '.join(cls.engines)}",
            )

    @abstractmethod
    def samples(self) -> Sequence[Sample]:
        """Everything to visit, in the study's own order, the same at every call."""

    @abstractmethod
    def schema(self) -> Schema:
        """The fields and columns of a row."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything besides the model that shapes the numbers: data, parameters, seeds. Part of the fingerprint."""

    @abstractmethod
    def collect(self, batch: Sequence[Sample]) -> Records:
        """Computes the rows of one batch.

        Must not depend on the other samples of the batch, nor on any global random state.
        """

    def widen(self, stored: Mapping[str, Any]) -> None:
        """Takes in what an existing store holds besides what is asked for. stored: its values of settings in `growing`
        that differ; by default the attributes of these names become what is stored and what is asked for. Done twice,
        it must make the same of it."""
        for name, values in stored.items():
            setattr(self, name, united(values, getattr(self, name)))

    def collect_more(self, batch: Sequence[Sample], pieces: Sequence[int], store: Store) -> list[Records]:
        """What further pieces of a store hold of samples whose rows the first one has; by default, all is computed
        anew and what is not missing is left out. store: the first piece, with the rows' columns."""
        whole = self.collect(batch)
        return [divided(whole, self.store_schema(), self.pieces, number) for number in pieces]

    def given_columns(self) -> frozenset[str]:
        """Columns of floats that the model has no part in: recomputed, they must be the same to the last bit."""
        return self.given

    def companions(self) -> Sequence[Sample]:
        """Samples that are not selected, but complete the companies of those that are (see `Sample.company`)."""
        return ()

    def notes(self) -> list[str]:
        """Lines to print before the run: what was read, skipped, counted."""
        return []

    def nothing_found(self) -> str | None:
        """What to say when `samples` is empty and that is a finding; None where it is a mistake, and an error."""
        return None

    def summary(self, store: Store) -> list[str]:
        """Lines to print after the run, of everything in its store."""
        return []

    def write_beside(self, run: Path) -> None:
        """Writes into a run's folder what says how its store is to be read and shapes no number. Every collect call
        does it, also when nothing is left to collect."""

    def model_input(self, sample: Sample) -> Any:
        """What the model reads of a sample, as plain JSON, before it has written anything: by default the token ids in
        its payload. A resumed run refuses rows that were computed from anything else."""
        return payload_ids(sample.payload)

    def store_schema(self) -> Schema:
        """The study's schema, and what every row says besides."""
        schema = self.schema()
        return replace(schema, columns=(*schema.columns, INPUT_DIGEST))

    @property
    def engine(self) -> Engine:
        """The language model; loaded once per process, when Lightning has chosen the device."""
        if self._engine is None:
            raise RuntimeError("The language model is loaded in configure_model, which the Trainer calls.")
        return self._engine

    @property
    def lm(self) -> LanguageModel:
        """The modules themselves, of the transformers engine: for studies that reach into them (see `engines`)."""
        if not isinstance(self.engine, TransformersEngine):
            raise RuntimeError(f"The {self.spec.engine} engine has no modules to reach into: use `engine`.")
        return self.engine.lm

    def engine_notes(self) -> list[str]:
        """Lines to print when a process has computed its share."""
        return [] if self._engine is None else self._engine.notes()

    def fingerprint(self) -> dict[str, Any]:
        """What shapes the numbers, and nothing else: not devices, workers, batch sizes or paths."""
        experiment = {"name": type(self).__name__, "version": self.version}
        return {"experiment": experiment, "model": self.info.fingerprint(), "settings": self.settings()}

    def configure_model(self) -> None:
        """Loads the weights straight onto this process's device."""
        self.load_model(self.trainer.strategy.root_device)

    def load_model(self, device: torch.device) -> None:
        """Loads the weights, unless they are loaded already. Raises lm.ModelError."""
        if self._engine is None:
            self._engine = load_engine(self.spec, device)

    def read_unrounded(self) -> None:
        """From now on captured states come as the model computed them, in float32, instead of as they are stored."""
        self._engine = self.engine.unrounded()

    def drop_model(self) -> None:
        """Lets go of the weights."""
        self._engine = None

    def extend_in(self, store: Store) -> None:
        """From now on rows go into several pieces, where the store has been extended."""
        self.pieces, self.first_piece = store.pieces, store.in_pieces()[0]

    def predict_step(self, batch: Batch, batch_idx: int) -> list[Records] | list[PieceRecords]:
        """The rows of a batch, or what pieces of an extended store lack of them."""
        return self._for_pieces(batch) if batch.lacking else self.whole_rows(batch)

    def _for_pieces(self, batch: Batch) -> list[PieceRecords]:
        """What each piece of the store lacks of the batch's rows; samples that lack alike are computed at once."""
        assert self.first_piece is not None, "extend_in comes first"
        made = []
        for lacking in dict.fromkeys(batch.lacking):
            samples = tuple(s for s, pieces in zip(batch.samples, batch.lacking, strict=True) if pieces == lacking)
            in_company = samples[0].company is not None
            alike = Batch(batch.index, samples, batch.together if in_company else samples)
            if 0 in lacking:
                whole = self.whole_rows(alike)
                made += [
                    PieceRecords(n, divided(records, self.store_schema(), self.pieces, n))
                    for records in whole
                    for n in lacking
                ]
            else:
                made += self._more(alike, lacking)
        return made

    def _more(self, batch: Batch, lacking: Sequence[int]) -> list[PieceRecords]:
        """What further pieces lack of rows that the first one has."""
        ids = {sample.sample_id for sample in batch.samples}

        def compute(samples: list[Sample]) -> list[Records]:
            with self._named(samples):
                assert self.first_piece is not None
                return self.collect_more(samples, lacking, self.first_piece)

        return [
            PieceRecords(number, rows)
            for of_pieces in self.in_pieces(list(batch.together), compute)
            for number, records in zip(lacking, of_pieces, strict=True)
            if (rows := rows_of(records, ids, self.pieces[number])).rows
        ]

    def whole_rows(self, batch: Batch) -> list[Records]:
        """The rows of a batch with all that the study stores, in as many pieces as memory makes it."""
        pieces = self.in_pieces(list(batch.together), self._computed)
        if len(batch.samples) == len(batch.together):
            return pieces
        ids, schema = {sample.sample_id for sample in batch.samples}, self.schema()
        return [rows for records in pieces if (rows := rows_of(records, ids, schema)).rows]

    def in_pieces(self, items: list[Item], compute: Callable[[list[Item]], Piece]) -> list[Piece]:
        """What `compute` makes of all items at once, or of halves, quarters, ... of them where memory is too short.

        Raises:
            torch.OutOfMemoryError, RuntimeError: memory is too short for a single item.
        """
        try:
            return [compute(items)]
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or len(items) == 1:
                raise
        # Outside the handler: the traceback would keep the failed piece's tensors alive.
        self.halvings += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = len(items) // 2
        return self.in_pieces(items[:half], compute) + self.in_pieces(items[half:], compute)

    def _computed(self, samples: list[Sample]) -> Records:
        with self._named(samples):
            return self._with_digests(self.collect(samples), samples)

    @contextmanager
    def _named(self, samples: list[Sample]) -> Iterator[None]:
        """What goes wrong inside names the sample."""
        try:
            with torch.inference_mode():
                yield
        except NonFiniteStateError as error:
            raise RunFailed(f"Sample {samples[error.index].sample_id}: {error}") from error
        except SequenceError as error:
            raise ModelError(f"{self._reading(samples, error.ids)}: {error}") from error

    def _reading(self, samples: list[Sample], ids: list[int]) -> str:
        """Names the samples of which the model read what `ids` begins with; all, if it is of none."""
        inputs = {sample.sample_id: self.model_input(sample) for sample in samples}
        sequences = {name: held if held and isinstance(held[0], list) else [held] for name, held in inputs.items()}
        names = [name for name, texts in sequences.items() if any(begins(ids, text) for text in texts)]
        return "Sample " + " or ".join(names or inputs)

    def _with_digests(self, records: Records, samples: list[Sample]) -> Records:
        digests = {sample.sample_id: input_digest(self.model_input(sample)) for sample in samples}
        for row in records.rows:
            row[INPUT_DIGEST.name] = digests[row["sample_id"]]
        return records


def begins(ids: Sequence[int], text: Any) -> bool:
    """Whether a sequence begins with a text's ids; with no ids, only an empty one does."""
    return isinstance(text, list) and ids[: len(text)] == text and bool(text) == bool(ids)


def is_out_of_memory(error: BaseException) -> bool:
    """True when an allocation failed, on an accelerator or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _never() -> None:
    """The stop check of a collector that nobody asked to stop."""
