"""`lit.steer`: what a model writes while its states are moved along a probe's direction."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_experiments.api.commands import named_folder, result_of, run_command
from lit_experiments.api.probes import Probe
from lit_experiments.api.texts import TEXT, digest_of, is_named, table_of, write_table
from stores import Store, open_store

if TYPE_CHECKING:
    import pandas as pd

    from lit_experiments.experiments.steering.result import SteeringResult

_EXPERIMENT = "steering"


def steer(
    probe: Probe | str | PathLike[str],
    prompts: Any,
    strengths: Sequence[float] = (-8, -4, 0, 4, 8),
    *,
    run: str | PathLike[str] | None = None,
    bootstraps: int | None = None,
    **options: Any,
) -> Steered:
    """Completions of prompts at each strength, next to random directions, as `lit-experiments collect --exp steering`
    makes them, and their dose-response.

    Args:
        probe: one probe of `lit.fit_probes`, or the folder of a saved one.
        prompts: a file or a list of texts, and so on, as in `lit.collect`.
        strengths: in multiples of the layer's natural spread along the direction.
        run: folder of the run; None takes one under runs/ that is named for prompts and options.
        bootstraps: resamples of the analysis; None takes its default.
        options: any further option of the command, such as class_, layers, ablate, completions, temperature. `model`
            and the like are those that the probe was trained on, unless they are given.

    Raises:
        UserError: prompts, strengths or options that cannot be; a probe of another model.
    """
    chosen: dict[str, Any] = {"strengths": list(strengths), **options}
    if isinstance(probe, Probe):
        chosen = {**probe.model, **chosen}
    folder = probe.folder if isinstance(probe, Probe) else Path(probe)
    chosen["probe"] = fspath(folder)
    if is_named(prompts):
        place = Path(run) if run is not None else named_folder(_EXPERIMENT, fspath(prompts), chosen)
        chosen["prompts"] = fspath(prompts)
    else:
        table = table_of(prompts)
        place = Path(run) if run is not None else named_folder(_EXPERIMENT, digest_of(table), chosen)
        chosen["prompts"] = write_table(table, place)
        if table.column_names == [TEXT]:
            chosen["text_column"] = TEXT
    run_command("collect", _EXPERIMENT, {"run": place, **chosen})
    analysis = {} if bootstraps is None else {"bootstraps": bootstraps}
    run_command("analyze", _EXPERIMENT, {"run": place, **analysis})
    return Steered(place)


class Steered:
    """One steering run. folder: with the store, result.json and the page. result: the dose-response, typed."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Reads the results of a run.

        Raises:
            UserError: there are none.
        """
        from lit_experiments.experiments.steering.result import SteeringResult

        self.folder = Path(folder)
        self.result: SteeringResult = result_of(self.folder / _EXPERIMENT, SteeringResult)

    def __repr__(self) -> str:
        return f"<Steered {self.folder}: {self.result.prompts} prompts, strengths {self.result.strengths}>"

    @cached_property
    def store(self) -> Store:
        """Every completion with its log-probabilities, readings and measures."""
        return open_store(self.folder / "store")

    @property
    def doses(self) -> pd.DataFrame:
        """Reading at the last site, perplexity and repetition of every direction at every strength, with intervals."""
        import pandas as pd

        rows = [
            {
                "layers": "+".join(layers.layers),
                "direction": direction.direction,
                "strength": dose.strength,
                "reading": dose.readings[-1].value,
                "low": dose.readings[-1].low,
                "high": dose.readings[-1].high,
                "perplexity": dose.perplexity.value,
                "looping": dose.looping.value,
                "fluent": dose.fluent,
            }
            for layers in self.result.sets
            for direction in layers.directions
            for dose in direction.doses
        ]
        return pd.DataFrame(rows)
