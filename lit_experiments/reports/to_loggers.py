"""A finished page for Lightning's loggers: its curves as numbers, its figures as pictures, its tables as tables.

Reads what `write_page` left in a folder, so it knows no study, and sends results of any age.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from lit_experiments.errors import RunFailed
from lit_experiments.reports import data_files, pictures
from lit_experiments.reports.write import MARKDOWN

MOST_ROWS = 200  # of a table in TensorBoard, which shows it as text
_UNNAMED = re.compile(r"[^\w\-. /]")  # what MLflow takes in no name of a number
_CURVE = {"panel", "series", "value"}


@dataclass(frozen=True)
class Sheet:
    """A data file. name: without its ending; rows: cells as they are written, "" for no value."""

    name: str
    columns: list[str]
    rows: list[list[str]]


def send_results(folder: Path, loggers: Sequence[Logger]) -> list[str]:
    """Sends a folder's page to loggers; returns what is to be said of it.

    Raises:
        RunFailed: one of them did not take it.
    """
    sheets = [_sheet(path) for path in sorted((folder / data_files.FOLDER).glob("*.csv"))]
    figures = sorted((folder / pictures.FOLDER).glob("*.png"))
    lines = []
    for logger in loggers:
        name = type(logger).__name__
        try:
            for step, values in curves(sheets).items():
                logger.log_metrics(values, step=step)
            whole = _send(logger, folder, sheets, figures)
            logger.save()
        except Exception as error:
            reason = " ".join(str(error).split())
            raise RunFailed(
                f"The results are in {folder}; {name} did not take them: {type(error).__name__}: {reason}\n"
                "Next: the same command sends them again."
            ) from error
        lines.append(
            f"Sent to {name}: {len(figures)} figures, {len(sheets)} tables, their curves."
            if whole
            else f"Sent to {name}: the curves; it takes no figures and tables from here."
        )
    return lines


def curves(sheets: Sequence[Sheet]) -> dict[int, dict[str, float]]:
    """Step -> name -> value of everything that is drawn over layers, lengths or the like.

    A step is the number on the horizontal axis where these are whole, and otherwise its place along the axis.
    """
    steps: dict[int, dict[str, float]] = {}
    for sheet in sheets:
        if not set(sheet.columns) >= _CURVE or len(sheet.columns) < len(_CURVE) + 1:
            continue
        lines = [dict(zip(sheet.columns, row, strict=True)) for row in sheet.rows]
        axis = sheet.columns[2]
        names = list(dict.fromkeys(line[axis] for line in lines if line[axis]))
        whole = all(name.isdigit() for name in names)
        for line in lines:
            if line[axis] and line["value"]:
                step = int(line[axis]) if whole else names.index(line[axis])
                parts = filter(None, (sheet.name, line["panel"], line["series"]))
                steps.setdefault(step, {})[_UNNAMED.sub("_", "/".join(parts))] = float(line["value"])
    return dict(sorted(steps.items()))


def _send(logger: Logger, folder: Path, sheets: Sequence[Sheet], figures: Sequence[Path]) -> bool:
    """Figures and tables, in the way of each kind of logger; False for a kind that has none."""
    if isinstance(logger, TensorBoardLogger):
        _to_tensorboard(logger.experiment, folder, sheets, figures)
    elif isinstance(logger, WandbLogger):
        for path in figures:
            logger.log_image(f"figures/{path.stem}", [str(path)])
        for sheet in sheets:
            logger.log_table(f"tables/{sheet.name}", sheet.columns, sheet.rows)
    elif isinstance(logger, MLFlowLogger):
        for path in [*figures, *(folder / data_files.FOLDER).glob("*.csv"), folder / MARKDOWN]:
            logger.experiment.log_artifact(logger.run_id, str(path), "" if path.name == MARKDOWN else path.parent.name)
    else:
        return False
    return True


def _to_tensorboard(writer: Any, folder: Path, sheets: Sequence[Sheet], figures: Sequence[Path]) -> None:
    import numpy as np
    from PIL import Image

    for path in figures:
        with Image.open(path) as picture:
            writer.add_image(f"figures/{path.stem}", np.asarray(picture.convert("RGB")), dataformats="HWC")
    for sheet in sheets:
        writer.add_text(f"tables/{sheet.name}", _markdown(sheet))
    writer.add_text("results", (folder / MARKDOWN).read_text(encoding="utf-8"))
    writer.flush()


def _markdown(sheet: Sheet) -> str:
    rows = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in sheet.rows[:MOST_ROWS]]
    lines = [sheet.columns, ["---"] * len(sheet.columns), *rows]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    more = len(sheet.rows) - len(rows)
    return text + (f"\n\n{more:,} more rows in data/{sheet.name}.csv" if more else "")


def _sheet(path: Path) -> Sheet:
    with path.open(newline="", encoding="utf-8") as file:
        columns, *rows = csv.reader(file)
    return Sheet(path.stem, columns, rows)
