"""`run NAME --dry_run`: what each step of a pipeline would take. Writes nothing.

Collections are tried one by one, each in a process of its own; trainings and analyses say what they would read and
hold. What reads the results of steps that have not run yet cannot, and is listed.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_experiments.cli.pipeline_children import PipelineChildren
from lit_experiments.cli.pipeline_commands import Planned
from lit_experiments.cli.verbs import say
from lit_experiments.errors import EXIT_DONE
from lit_experiments.units import byte_count, duration

_HEADERS = ["step", "samples", "tokens", "uncompressed", "on disk", "memory", "time at most"]
_SUMMED = ("samples", "tokens", "payload", "on_disk", "seconds")


def preview(planned: Sequence[Planned], chosen: Sequence[Planned], children: PipelineChildren) -> int:
    """Tries the chosen steps that can be, lists the others, and sums the collections up.

    Returns:
        The exit code: of the first step that cannot be tried, or 0.
    """
    forecasts: list[tuple[str, dict[str, Any]]] = []
    listed = False
    for place, planned_step in enumerate(chosen, start=1):
        say(f"[{place}/{len(chosen)}] step {planned_step.step}")
        missing = [other.step for other in planned_step.inputs(planned) if not other.output.exists()]
        if planned_step.command is None or missing or planned_step.step.verb not in ("collect", "train", "analyze"):
            listed = True
            say(_reason(planned_step, missing))
            continue
        code, forecast = _try(planned_step.command, children)
        if code != EXIT_DONE:
            return code
        listed |= planned_step.step.verb != "collect"
        if forecast is not None:
            forecasts.append((str(planned_step.step), forecast))
    say("\n" + _summary(forecasts))
    if listed:
        say("Steps that were not estimated are not part of the sum.")
    return EXIT_DONE


def _reason(planned_step: Planned, missing: Sequence[Any]) -> str:
    if planned_step.command is None:
        return planned_step.left_out
    if missing:
        return f"Not estimated: it reads the results of steps that have not run yet: {'; '.join(map(str, missing))}."
    return f"Not estimated: it reads {planned_step.folder} and writes {planned_step.output.parent}."


def _try(command: Sequence[str], children: PipelineChildren) -> tuple[int, dict[str, Any] | None]:
    """Exit code and forecast of one step's own dry run; no forecast where a collection found nothing to do, or of
    another verb."""
    from lit_experiments.collecting.dry_run import FORECAST_VARIABLE

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "forecast.json"
        os.environ[FORECAST_VARIABLE] = str(file)
        try:
            code = children.run([*command, "--dry_run"])
        finally:
            del os.environ[FORECAST_VARIABLE]
        return code, json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _summary(forecasts: Sequence[tuple[str, dict[str, Any]]]) -> str:
    from lit_experiments.reports.tables import text_table

    rows = [_row(name, forecast) for name, forecast in forecasts]
    total: dict[str, Any] = {key: sum(forecast[key] for _, forecast in forecasts) for key in _SUMMED}
    total["memory"] = max((forecast["memory"] for _, forecast in forecasts), default=0)
    return text_table(_HEADERS, [*rows, _row("together", total)]) + "\nNothing was written."


def _row(name: str, forecast: dict[str, Any]) -> list[str]:
    sizes = [byte_count(forecast[key]) for key in ("payload", "on_disk", "memory")]
    return [name, f"{forecast['samples']:,}", f"{forecast['tokens']:,}", *sizes, duration(forecast["seconds"])]
