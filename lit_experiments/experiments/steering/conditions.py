"""The conditions under which every prompt is continued: which direction, which strength, at which layers.

Owns the list of conditions, the directions (the probe's, and random ones that are matched to it), and the unit of the
strengths. Knows no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.sites import parse_site, resolve_sites
from lit_experiments.probes.readout import Readout

Floats = NDArray[np.float64]
NONE, PROBE = "none", "probe"
LayerSets = list[tuple[str, ...]]


@dataclass(frozen=True)
class Condition:
    """What is done while a prompt is continued.

    direction: `probe`, `random-1` and so on, or `none` for the model as it is. sites: where. strength: multiples of the
    natural spread that are added, 0 for `none`, None where the direction is taken out instead.
    """

    direction: str
    sites: tuple[str, ...]
    strength: float | None

    @property
    def action(self) -> str:
        """`none`, `steer` or `ablate`."""
        if self.direction == NONE:
            return "none"
        return "ablate" if self.strength is None else "steer"

    @property
    def name(self) -> str:
        """For sample ids."""
        if self.direction == NONE:
            return NONE
        dose = "ablated" if self.strength is None else f"{self.strength:+g}"
        return f"{'+'.join(self.sites)}/{self.direction}/{dose}"


def conditions(sets: LayerSets, strengths: Sequence[float], ablate: bool, random: int) -> list[Condition]:
    """The model as it is (which is strength 0), then each direction at every other strength, then taken out."""
    doses: list[float | None] = [strength for strength in strengths if strength]
    doses += [None] if ablate else []
    names = [PROBE, *(f"random-{number + 1}" for number in range(random))]
    return [
        Condition(NONE, (), 0.0),
        *(Condition(name, sites, dose) for sites in sets for name in names for dose in doses),
    ]


def check_strengths(strengths: Sequence[float], ablate: bool) -> None:
    """Raises UserError for strengths that are no finite numbers, repeat, or leave nothing to do."""
    if not all(np.isfinite(strength) for strength in strengths) or len(set(strengths)) < len(strengths):
        raise UserError(f"strengths must be finite numbers, each one once, found {list(strengths)}.")
    if not any(strengths) and not ablate:
        raise UserError(
            f"strengths must name at least one that is not 0, found {list(strengths)}: nothing would be steered.\n"
            "Next: --strengths '[-8,-4,0,4,8]', or --ablate true."
        )


def layer_sets(layers: Sequence[int | list[int]] | None, probe_site: str, info: ModelInfo) -> LayerSets:
    """The sites of each set: blocks' outputs by number (-1 is the last), one block or several that are steered at
    once; None is the probe's own layer.

    Raises:
        UserError: no such block, or a set without a block or twice the same.
    """
    if layers is None:
        return [tuple(resolve_sites([probe_site], info.layout, info.n_layers))]
    sets: LayerSets = []
    for entry in layers:
        numbers = entry if isinstance(entry, list) else [entry]
        wrong = [number for number in numbers if not -info.n_layers <= number < info.n_layers]
        if wrong or not numbers:
            raise UserError(
                f"--layers: {info.name} has blocks 0 to {info.n_layers - 1} (-1 is the last), found "
                f"{wrong[0] if wrong else 'an empty set'}."
            )
        sets.append(tuple(f"resid_post.{number}" for number in sorted({n % info.n_layers for n in numbers})))
    if not sets or len(set(sets)) < len(sets):
        raise UserError(f"--layers must name at least one set, each one once, found {list(layers)}.")
    return sets


def reading_sites(sets: LayerSets, readers: dict[str, Readout], probe_site: str, info: ModelInfo) -> list[str]:
    """Where the probe reads what steering does: at the first steered site, and at the ends of all blocks behind it (and
    whatever else the probe was trained on there)."""
    order = {name: place for place, name in enumerate(info.sites)}
    first = min(order[_canonical(site)] for sites in sets for site in sites)
    later = [name for name in info.sites if order[name] >= first]
    return [name for name in later if parse_site(name).kind == "resid_post" or name in readers or name == probe_site]


def _canonical(site: str) -> str:
    return parse_site(site).name


class Directions:
    """The unit directions of all conditions at all sites.

    readers: the probe of each layer that there is one for; elsewhere the probe's own direction is taken.
    """

    def __init__(self, readers: dict[str, Readout], probe: Readout, output: str, seed: int) -> None:
        self.readers, self.probe, self.output, self.seed = readers, probe, output, seed

    def reader(self, site: str) -> Readout:
        """The probe that reads at a site."""
        return self.readers.get(site, self.probe)

    def unit(self, direction: str, site: str) -> Floats:
        """[hidden]. A random direction is orthogonal to the probe's there; its numbers follow from seed, number and
        site alone."""
        unit = self.reader(site).direction(self.output)
        if direction == PROBE:
            return unit
        name = f"{self.seed}/{direction}/{site}"
        generator = np.random.default_rng(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big"))
        vector = generator.standard_normal(len(unit))
        vector -= (vector @ unit) * unit
        return vector / float(np.linalg.norm(vector))

    def noted_spread(self, site: str) -> float | None:
        """The natural spread along the probe's direction, as the training left it, if it was of this very layer."""
        reader = self.reader(site)
        return reader.spread(self.output) if reader.layer == site else None

    def settings(self, sites: Sequence[str]) -> dict[str, Any]:
        """What of the probes shapes the numbers, by site."""
        return {site: self.reader(site).digest for site in sites}


def steered_sites(sets: LayerSets) -> Iterator[str]:
    """Every site that some set steers, once."""
    yield from dict.fromkeys(site for sites in sets for site in sites)
