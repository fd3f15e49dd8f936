"""What collections of the user's own records have in common: what becomes of malformed ones, and what quotes mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.plan import Sample
from lit_experiments.lm.spec import ModelSpec


class RecordsCollector(Collector):
    """A collection whose samples and notes are made from records at the start.

    Attributes:
        malformed, quoting: as every reader of `sources` takes them.
    """

    _samples: Sequence[Sample]
    _notes: list[str]

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

    def samples(self) -> Sequence[Sample]:
        return self._samples

    def notes(self) -> list[str]:
        return self._notes
