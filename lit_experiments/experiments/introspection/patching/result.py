"""What the interventions on the model come to. Changes are against the same question left alone, in the units of their
measure (`passes.MEASURES`)."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.experiments.introspection.passes import CentralRange
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class Steering:
    """Of one measure. changes: [multiple]; random_changes: of random directions; slope: of least squares through no
    change, per spread; random: slopes of random directions; p: two-sided, by rank among these; p_corrected: over
    layers (max-T); together: the slope, with an interval that holds for all layers at once."""

    changes: list[Estimate]
    random_changes: list[CentralRange]
    slope: Estimate
    random: CentralRange
    p: float
    p_corrected: float
    together: Estimate

    @property
    def effect(self) -> Estimate:
        """What it is judged by, and shown as."""
        return self.slope

    @property
    def shown(self) -> Estimate:
        return self.slope


@dataclass(frozen=True)
class Ablation:
    """Of one measure: the change without the direction, next to random ones; p and together as in `Steering`."""

    change: Estimate
    random: CentralRange
    p: float
    p_corrected: float
    together: Estimate

    @property
    def effect(self) -> Estimate:
        """What it is judged by, and shown as."""
        return self.change

    @property
    def shown(self) -> Estimate:
        return self.change


@dataclass(frozen=True)
class Patching:
    """Of one measure: the change by the state of a question of high confidence, by that of another one of low
    (control), their difference; gap: donor minus recipient; share: of the gap that the patch closes, without a value
    where there is no clear gap; p: of the difference, by sign flips; p_corrected, together: over
    layers, of the difference."""

    change: Estimate
    control: Estimate
    difference: Estimate
    gap: Estimate
    share: Estimate
    p: float
    p_corrected: float
    together: Estimate

    @property
    def effect(self) -> Estimate:
        """What it is judged by; `change` is what is shown."""
        return self.difference

    @property
    def shown(self) -> Estimate:
        return self.change


@dataclass(frozen=True)
class LayerEffects:
    """One pass and layer, by measure; measures that the pass lacks are left out. spread: standard deviation of all
    questions' projections on the direction; clean: the model left alone."""

    spread: float
    clean: dict[str, Estimate]
    steer: dict[str, Steering]
    ablate: dict[str, Ablation]
    patch: dict[str, Patching]


@dataclass(frozen=True)
class Checks:
    """What the checks measured. identity_logits: compared, each equal bit for bit; the replacements and `collected`:
    largest relative differences of logits; whole_replacement: None without two prompts of equal length; cached:
    whether prompts were read only once."""

    identity_logits: int
    last_replacement: float
    whole_replacement: float | None
    whole_replacements: int
    collected: float
    cached: bool


@dataclass(frozen=True)
class PassEffects:
    """One pass; layers: one per site, None where there is no direction."""

    questions: int
    pairs: int
    layers: list[LayerEffects | None]
    checks: Checks


@dataclass(frozen=True)
class Interventions:
    """multiples: of the spread; flips: random sign flips behind each p of patching; statements: what could not be
    done, and why."""

    layers: list[str]
    measures: list[str]
    multiples: list[float]
    random_directions: int
    flips: int
    interval_level: float
    passes: dict[str, PassEffects]
    statements: list[str]
