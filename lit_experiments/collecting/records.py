"""Collections that plan at the start; and those of the user's own records, some of which may be malformed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.plan import Sample
from lit_experiments.lm.spec import ModelSpec


class PlannedCollector(Collector):
    """A collection whose samples and notes are made when it is."""

    _samples: Sequence[Sample]
    _notes: list[str]

    def samples(self) -> Sequence[Sample]:
        return self._samples

    def notes(self) -> list[str]:
        return self._notes


class RecordsCollector(PlannedCollector):
    """A collection of records. malformed, quoting: as every reader of `sources` takes them."""

    def __init__(
        self,
        spec: ModelSpec,
        malformed: Literal["stop", "skip"] = "stop",
        quoting: Literal["auto", "standard", "none"] = "auto",
    ) -> None:
        """Reads nothing but the model's configuration and tokenizer.

        Args:
            malformed: What to do with records that cannot be read: stop at the first, or skip (and count).
            quoting: Of CSV and TSV files: standard (quotes enclose fields), none (quotes belong to the text), or auto.
        """
        super().__init__(spec)
        self.malformed, self.quoting = malformed, quoting
