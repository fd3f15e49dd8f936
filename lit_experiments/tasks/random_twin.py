"""The random-weights twin: the same architecture, freshly initialised, reads the same tokens.

A probe of its states finds what the architecture and the text alone give away. Owns: which model that is, and reading
its states. Does not know: probes, studies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.lm.capture import capture
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.load import load_untrained
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.tasks.recorded_model import recorded_spec
from stores import Store

Floats32 = NDArray[np.float32]
_BATCH_STATES = 1 << 25
"""Numbers of states that a batch may give: 64 MB as the model gives them."""
WITHOUT = "Next: --twin false leaves this control out."


def model_of(store: Store) -> ModelSpec:
    """The model that filled a store, by its provenance.

    Raises:
        UserError: the store does not say, or what now goes by that name is another model.
    """
    options, known = store.provenance.get("config", {}).get("options", {}), store.fingerprint.get("model", {})
    missing = ({"model", "revision"} - set(options)) | ({"dtype", "attn"} - set(known))
    if missing:
        raise UserError(
            f"{store.path} does not say which model filled it ({', '.join(sorted(missing))} is missing in its "
            f"provenance), so there is no architecture to make a random twin of.\n{WITHOUT}"
        )
    spec = replace(recorded_spec(options, known), adapter=None)
    try:
        model = read_info(spec).fingerprint()["model"]
    except ModelError as error:
        raise UserError(f"The random twin needs the configuration of {spec.model!r}: {error}\n{WITHOUT}") from error
    if model != known.get("model"):
        raise UserError(f"What {spec.model!r} names now is not the model that filled {store.path}.\n{WITHOUT}")
    return spec


class RandomTwin:
    """The untrained model of a store, which reads token ids.

    accelerator: the Trainer's; "cpu" keeps it off a GPU. batch_tokens: read at a time, with padding.
    """

    def __init__(self, spec: ModelSpec, seed: int, accelerator: str, batch_tokens: int) -> None:
        device = "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
        self._lm, self._batch_tokens = load_untrained(spec, device, seed), batch_tokens

    def read(
        self, ids: Sequence[Sequence[int]], places: Sequence[Sequence[int]], sites: Sequence[str]
    ) -> Iterator[tuple[int, Floats32]]:
        """(row, states [place, site, hidden]) in batches of rows of like length; places: tokens of every row."""
        most = max(1, _BATCH_STATES // (len(sites) * self.hidden))
        for batch in _batches([len(row) for row in ids], [len(row) for row in places], self._batch_tokens, most):
            states = capture(self._lm, [ids[i] for i in batch], list(sites), [places[i] for i in batch])
            stop = 0
            for row in batch:
                part = slice(stop, stop + len(places[row]))
                stop = part.stop
                exponents = np.exp2(states.exponents.numpy()[:, part, None], dtype=np.float32)
                yield row, (states.values.numpy()[:, part].astype(np.float32) * exponents).swapaxes(0, 1)

    @property
    def hidden(self) -> int:
        """Dims of a state."""
        return int(self._lm.info.d_model)


def _batches(lengths: list[int], places: list[int], tokens: int, most: int) -> Iterator[list[int]]:
    """Rows of like length together, at most `tokens` with padding and `most` places that are read, one row at least."""
    batch: list[int] = []
    read = 0
    for row in np.argsort(lengths, kind="stable").tolist():
        if batch and ((len(batch) + 1) * lengths[row] > tokens or read + places[row] > most):
            yield batch
            batch, read = [], 0
        batch.append(row)
        read += places[row]
    if batch:
        yield batch
