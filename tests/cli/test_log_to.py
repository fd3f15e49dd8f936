"""`--log_to`: figures, tables and curves of finished results in TensorBoard, as its own reader finds them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER, RunFailed
from lit_experiments.reports.to_loggers import Sheet, curves, send_results

SMALL = ["--gen_length", "2", "--eval_lengths", "[1, 2]", "--gen_number", "2", "--initial_wander", "2", "--limit", "24"]
FIT = ["--exp", "tempnorm_ridge", "--folds", "2", "--bootstraps", "20", "--shuffles", "19", "--accelerator", "cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("sent") / "run"
    assert main(["collect", "--exp", "tempnorm", "--run", str(folder), "--accelerator", "cpu", *SMALL]) == EXIT_DONE
    both = ["--log_to", "tensorboard", "--trainer.logger", "tensorboard"]
    assert main(["train", *FIT, "--run", str(folder), *both]) == EXIT_DONE
    return folder


def events(folder: Path, version: int) -> EventAccumulator:
    read = EventAccumulator(str(folder / f"tempnorm_ridge/lightning_logs/version_{version}"), {"images": 0})
    read.Reload()
    return read


def test_figures_tables_and_curves_are_in_the_trainer_s_own_log(run: Path) -> None:
    out, read = run / "tempnorm_ridge", events(run, 0)
    assert "checkpoints/cv_mse" in read.Tags()["scalars"]
    figures = sorted((out / "figures").glob("*.png"))
    assert figures
    for path in figures:
        (image,) = read.Images(f"figures/{path.stem}")
        sent = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
        np.testing.assert_array_equal(sent, np.asarray(Image.open(path).convert("RGB")))
    for path in (out / "data").glob("*.csv"):
        (text,) = read.Tensors(f"tables/{path.stem}/text_summary")
        shown = text.tensor_proto.string_val[0].decode()
        rows = [*csv.reader(path.open())]
        assert shown.splitlines()[0] == f"| {' | '.join(rows[0])} |"
        assert len(shown.splitlines()) == len(rows) + 1
    assert (out / "RESULTS.md").read_text() == (
        read.Tensors("results/text_summary")[0].tensor_proto.string_val[0].decode()
    )


def test_results_that_are_up_to_date_are_sent_without_being_made_again(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "tempnorm_ridge/results.json").stat().st_mtime_ns
    assert main(["train", *FIT, "--run", str(run), "--log_to", "tensorboard"]) == EXIT_DONE
    assert (run / "tempnorm_ridge/results.json").stat().st_mtime_ns == before
    assert "Sent to TensorBoardLogger: " in capsys.readouterr().out
    assert any(tag.startswith("figures/") for tag in events(run, 1).Tags()["images"])
    assert main(["train", *FIT, "--run", str(run)]) == EXIT_DONE
    assert "Sent to" not in capsys.readouterr().out


def test_a_log_of_numbers_alone_gets_the_curves_and_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *FIT, "--run", str(run), "--log_to", "csv"]) == EXIT_DONE
    assert "Sent to CSVLogger: the curves; it takes no figures" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["train --exp tempnorm_ridge", "analyze --exp manifold"])
def test_a_logger_that_there_is_not_is_refused_before_anything_is_made(
    verb: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb.split(), "--run", str(run), "--log_to", "tensorbord"]) == EXIT_USER
    message = capsys.readouterr().err
    assert "--log_to: Lightning has no logger 'tensorbord'" in message
    assert "TensorBoardLogger" in message


def test_curves_are_stepped_by_whole_numbers_or_by_their_place() -> None:
    columns = ["panel", "series", "layer", "value", "low", "high", "n"]
    rest = ["", "", ""]
    names = [["AUROC", "a|b", f"resid_post.{i}", str(i / 4), *rest] for i in (0, 1)]
    names.append(["AUROC", "chance", "", "0.5", *rest])
    lengths = [["", "ridge", "10", "0.75", *rest], ["", "ridge", "2", "0.5", *rest], ["", "ridge", "5", "", *rest]]
    other = Sheet("table", ["row", "value"], [["x", "1"]])
    assert curves([Sheet("layers", columns, names), Sheet("lengths", columns, lengths), other]) == {
        0: {"layers/AUROC/a_b": 0.0},
        1: {"layers/AUROC/a_b": 0.25},
        2: {"lengths/ridge": 0.5},
        10: {"lengths/ridge": 0.75},
    }


def test_a_logger_that_fails_loses_no_results(run: Path, tmp_path: Path) -> None:
    class Broken(TensorBoardLogger):
        @property
        def experiment(self) -> Logger:
            raise ConnectionError("no route to the server")

    with pytest.raises(RunFailed, match="Broken did not take them"):
        send_results(run / "tempnorm_ridge", [Broken(str(tmp_path))])
    assert (run / "tempnorm_ridge/results.json").is_file()
