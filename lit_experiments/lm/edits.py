"""Changed states on their way into the model: which rows of a state are changed, and by hooks at which modules.

Owns `Edit` and the order of the hooks. Edits at one site act in the order given, each on what the one before it left;
hooks run in the order in which they were set, so a tap that is set afterwards sees the changed state. Knows neither
sequences nor caches: `intervene` and `steering` say which rows of a pass are meant.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import groupby
from operator import attrgetter

import torch
from torch import Tensor

from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.hooks import Act, attach, locate_site
from lit_experiments.lm.interventions import Change
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.sites import Site


class Edit:
    """A change of some rows of the state at one site.

    rows: int64 [row], indices into the flattened [batch * token] axis. change: of these rows. fired: called at every
    firing. size: (batch * token, hidden) of the pass.
    """

    def __init__(
        self, site: Site, rows: Tensor, change: Change, fired: Callable[[], None], size: tuple[int, int]
    ) -> None:
        self.site, self.rows, self.change, self.fired, self.size = site, rows, change, fired, size

    def apply(self, flat: Tensor) -> None:
        """Changes the chosen rows of a state [batch * token, hidden] in place."""
        if flat.shape != self.size:
            raise ModelError(f"Site {self.site.name} gave shape {tuple(flat.shape)}, not {self.size}.")
        self.fired()
        flat.index_copy_(0, self.rows, self.change(flat[self.rows]))


def _edited(edits: Sequence[Edit], state: Tensor) -> Tensor:
    """The state with all these changes, one after the other, in memory of its own: it is copied once for all."""
    changed = state.clone(memory_format=torch.contiguous_format)
    for edit in edits:
        edit.apply(changed.view(-1, state.shape[-1]))
    return changed


class _Carry:
    """Carries a changed resid_mid on to the end of its block.

    The site is the input of the norm before the MLP, but the block adds the MLP's output to the sum that it held before
    that input was changed. So the block's output is put together anew there: resid_mid + mlp_out, the identity that the
    self-check proves, and bit for bit what the block computes itself.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self.parts: dict[str, Tensor] = {}

    def keep(self, part: str, state: Tensor) -> None:
        """Notes the changed rows of `resid_mid` or `mlp_out`."""
        self.parts[part] = state.reshape(-1, state.shape[-1])[self.rows]

    def __call__(self, output: Tensor) -> Tensor:
        flat = output.reshape(-1, output.shape[-1])
        total = self.parts.pop("resid_mid") + self.parts.pop("mlp_out")
        return flat.index_copy(0, self.rows, total).view(output.shape)


def hook_edits(lm: LanguageModel, edits: Sequence[Edit], stack: ExitStack) -> None:
    """Sets the hooks of these edits; `stack` removes them."""

    def hook(site: Site, act: Act) -> None:
        stack.callback(attach(locate_site(lm.model, lm.info.layout, site), act).remove)

    carries: dict[int | None, _Carry] = {}
    for layer in {edit.site.layer for edit in edits if edit.site.kind == "resid_mid"}:
        rows = torch.cat([edit.rows for edit in edits if edit.site == Site("resid_mid", layer)]).unique()
        carries[layer] = _Carry(rows)
        # Before the edits of resid_post, which act on the carried state; the parts are noted after theirs.
        hook(Site("resid_post", layer), carries[layer])
    for site, of_site in groupby(edits, attrgetter("site")):
        hook(site, partial(_edited, list(of_site)))
    for layer, carry in carries.items():
        for part in ("resid_mid", "mlp_out"):
            hook(Site(part, layer), partial(carry.keep, part))
