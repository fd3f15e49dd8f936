"""Trainer flags: which there are, what is refused, and that loggers and callbacks really hear of a run."""

import csv
import inspect
from pathlib import Path

import pytest
import yaml
from lightning.pytorch import Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_experiments.cli import main, trainer_flags
from lit_experiments.cli.parser import resolve, select
from lit_experiments.errors import EXIT_DONE, UserError

SMALL = [
    "--limit",
    "16",
    "--batch_size",
    "4",
    "--gen_length",
    "2",
    "--eval_lengths",
    "[1,2]",
    "--gen_number",
    "2",
    "--initial_wander",
    "1",
]
FIT = ["--bootstraps", "2", "--shuffles", "0", "--folds", "2"]
PLUGIN = """\
from pathlib import Path

from lightning.pytorch import Callback


class Witness(Callback):
    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_predict_end(self, trainer, pl_module):
        self.file.write_text(" ".join(type(c).__name__ for c in trainer.callbacks))
"""


@pytest.mark.parametrize("verb", trainer_flags.VERBS)
@pytest.mark.parametrize("name", [n for n in inspect.signature(Trainer.__init__).parameters if n != "self"])
def test_every_argument_of_the_trainer_is_taken_or_refused_by_name(verb: str, name: str) -> None:
    if name in {flag.name for flag in trainer_flags.flags(verb)}:
        return
    with pytest.raises(UserError, match=f"--trainer.{name}(:| is not taken)"):
        trainer_flags.checked(verb, {name: 1})


@pytest.mark.parametrize("verb", trainer_flags.VERBS)
def test_the_flags_are_documented_and_of_this_lightning(verb: str) -> None:
    known = set(inspect.signature(Trainer.__init__).parameters)
    assert {flag.name for flag in trainer_flags.flags(verb)} <= known
    assert all(flag.help for flag in trainer_flags.flags(verb))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--trainer.profiler", "simple"], {"profiler": "simple"}),
        (["--trainer.detect_anomaly"], {"detect_anomaly": True}),
        (["--trainer.log_every_n_steps=7"], {"log_every_n_steps": 7}),
        (["--trainer.deterministic", "warn"], {"deterministic": "warn"}),
        (["--trainer.default_root_dir", "2024"], {"default_root_dir": "2024"}),
        (["--trainer.logger", "[csv, tensorboard]"], {"logger": ["csv", "tensorboard"]}),
        (["--trainer", "{benchmark: true}", "--trainer.logger", "false"], {"benchmark": True, "logger": False}),
        (
            ["--trainer.logger", "csv", "--trainer.logger.init_args.save_dir", "a", "--trainer.logger.name", "b"],
            {"logger": {"class_path": "csv", "init_args": {"save_dir": "a", "name": "b"}}},
        ),
    ],
)
def test_flags_arrive_typed_and_are_saved(words: list[str], expected: dict[str, object], tmp_path: Path) -> None:
    resolved = resolve("collect", select("collect", ["--exp", "tempnorm", *words]))
    assert resolved.options["trainer"] == expected
    saved = tmp_path / "config.yaml"
    saved.write_text(resolved.to_yaml())
    assert yaml.safe_load(saved.read_text())["trainer"] == expected
    assert resolve("collect", select("collect", ["--config", str(saved)])) == resolved


def test_a_class_may_ask_for_further_flags() -> None:
    assert trainer_flags.checked("train", {"max_epochs": "3"}, ("max_epochs",)) == {"max_epochs": 3}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection and a training that told two loggers, a callback of Lightning's and one of the user's."""
    folder: Path = tmp_path_factory.mktemp("logged")
    (folder / "watching_plugin.py").write_text(PLUGIN)
    witness = {"class_path": "watching_plugin.Witness", "init_args": {"file": str(folder / "witness")}}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        loggers = ["--trainer.logger", "[csv, TensorBoardLogger]"]
        collect = ["--exp", "tempnorm", "--run", str(folder / "run"), *SMALL, *loggers]
        assert main(["collect", *collect, "--trainer.callbacks", yaml.safe_dump([witness, "Timer"])]) == EXIT_DONE
        train = ["--exp", "tempnorm_ridge", "--run", str(folder / "run"), *FIT, *loggers]
        more = ["--trainer.callbacks", "Timer", "--trainer.profiler", "simple"]
        assert main(["train", *train, *more]) == EXIT_DONE
    return folder / "run"


def _csv(folder: Path) -> list[dict[str, str]]:
    with (folder / "lightning_logs" / "version_0" / "metrics.csv").open() as lines:
        return list(csv.DictReader(lines))


def _events(folder: Path, tag: str) -> list[float]:
    events = EventAccumulator(str(folder / "lightning_logs" / "version_1"))
    events.Reload()
    return [scalar.value for scalar in events.Scalars(tag)]


def test_a_collection_tells_its_loggers_rows_tokens_rate_and_bytes(run: Path) -> None:
    rows = _csv(run)
    assert [float(row["collect/rows"]) for row in rows] == [4, 8, 12, 16, 16]
    assert float(rows[-1]["collect/tokens"]) > float(rows[0]["collect/tokens"]) > 0
    assert float(rows[-1]["collect/tokens_per_second"]) > 0
    assert float(rows[-1]["collect/bytes_written"]) > 0
    assert _events(run, "collect/rows") == [4, 8, 12, 16, 16]


def test_a_training_tells_its_loggers_what_its_modules_log(run: Path) -> None:
    rows = _csv(run / "tempnorm_ridge")
    for fit in ("checkpoints", "checkpoints_mean"):
        assert [float(row[f"{fit}/rows"]) for row in rows if row.get(f"{fit}/rows")] == [16]
        assert [row[f"{fit}/cv_mse"] for row in rows if row.get(f"{fit}/cv_mse")]
        assert _events(run / "tempnorm_ridge", f"{fit}/rows") == [16]


def test_the_user_s_callbacks_come_beside_ours(run: Path) -> None:
    assert (run.parent / "witness").read_text().split()[:3] == ["StoreWriter", "Reporter", "LogMetrics"]
    assert "Witness Timer" in (run.parent / "witness").read_text()


def test_a_profiler_s_report_lies_in_the_results_folder(run: Path) -> None:
    assert "run_training_epoch" in (run / "tempnorm_ridge" / "fit-profile.txt").read_text()


def test_the_saved_configuration_has_the_flags(run: Path) -> None:
    assert yaml.safe_load((run / "config.yaml").read_text())["trainer"]["logger"] == ["csv", "TensorBoardLogger"]
