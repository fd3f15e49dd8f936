"""`train --live` as a command: killed and started again, started by torchrun or srun, and stopped by a mistake."""

import csv
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.forked_workers import ForkedProcess
from benchmarks.halting import halted_at
from lit_experiments.embedded.contexts import contexts
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from tests.collecting.conftest import Launcher
from tests.collecting.test_launchers import STARTERS, _launch
from tests.experiments.linear_probes.test_live import assert_same
from tests.experiments.linear_probes.written import result_of, train

QUICK = {
    "bootstraps": 100,
    "permutations": 99,
    "shuffles": 19,
    "folds": 3,
    "surface_model": "numbers",
    "block_mb": 0.05,
}


@pytest.fixture(scope="module")
def argv(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command without its --run; batches of the model, and commits, are many."""
    path = tmp_path_factory.mktemp("texts") / "texts.csv"
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["body", "kind", "score"])
        rows.writerows([text, "ab"[len(text) % 2], len(text) + rng.random()] for text in contexts()[:80])
    settings = [part for name, value in QUICK.items() for part in (f"--{name}", str(value))]
    texts = ["--live.texts", str(path), "--live.text_column", "body", "--live.batch_tokens", "300"]
    live = [*texts, "--live.sites", "[resid_post.1, final_norm]", "--live.flush_seconds", "0.01"]
    command = ["train", "--exp", "linear_probes", "--accelerator", "cpu", *settings]
    return [*command, *live, "--twin", "false", "--target", "kind", "score"]


@pytest.fixture(scope="module")
def undisturbed(launcher: Launcher, argv: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    assert launcher.run([*argv, "--run", str(run)]) == EXIT_DONE
    return run


def weights(run: Path) -> list[bytes]:
    return [(run / "linear_probes" / name / "probe.safetensors").read_bytes() for name in ("kind", "score")]


def killed_when(process: ForkedProcess, run: Path, pattern: str) -> int:
    """Its exit code; killed as soon as there is such a path in the run."""
    while not list(run.glob(pattern)) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    return process.wait()


def test_killed_while_it_collects_and_while_it_trains_it_gives_one_runs_numbers(
    launcher: Launcher, argv: list[str], undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = [*argv, "--run", str(run)]
    for pattern in ("store/parts/*/rows-*.parquet", "linear_probes/checkpoints/*/ridge"):
        halted = halted_at(run / pattern, tmp_path / "never")
        assert killed_when(launcher.server.start(command, tmp_path, halted), run, pattern) == -signal.SIGKILL
        assert not (run / "linear_probes" / "result.json").exists()
    assert launcher.run(command) == EXIT_DONE
    assert result_of(run) == result_of(undisturbed)
    assert weights(run) == weights(undisturbed)
    assert not list((run / "linear_probes").glob("checkpoints*"))


@pytest.mark.parametrize("starter", STARTERS)
def test_two_processes_of_a_launcher_give_what_one_does(
    launcher: Launcher, argv: list[str], undisturbed: Path, tmp_path: Path, starter: str
) -> None:
    command = [*argv, "--run", str(tmp_path / "run"), "--devices", "2"]
    assert [process.wait() for process in _launch(launcher, tmp_path, starter, command)] == [EXIT_DONE, EXIT_DONE]
    assert_same(result_of(tmp_path / "run"), result_of(undisturbed))
    assert "80 rows in " in (tmp_path / "rank-0" / "log.txt").read_text()
    assert (tmp_path / "rank-1" / "log.txt").read_text() == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--folds", "1"], "folds"),
        (["--method", "logistic"], "--method lda"),
        (["--trainer.no_such_flag", "1"], "no_such_flag"),
        (["--ckpt_path", "last"], "no interrupted training"),
        (["--labels", "nowhere.csv"], "--labels nowhere.csv"),
        (["--evaluate_on", "nowhere"], "--evaluate_on nowhere"),
    ],
)
def test_options_of_the_training_are_checked_before_any_text_is_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], words: str
) -> None:
    """There are no texts at all: to look for them would be the mistake that is named."""
    assert train(tmp_path / "run", "--live.texts", str(tmp_path / "none.csv"), *options) == EXIT_USER
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
