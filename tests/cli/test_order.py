"""Nothing is made or set aside before a command is known to be sound; --ckpt_path and --version say what there is."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "lit_experiments" / "embedded" / "model"
SMALL = ["--limit", "8", "--gen_length", "2", "--eval_lengths", "[1,2]", "--gen_number", "2", "--initial_wander", "1"]
FIT = ["--bootstraps", "2", "--shuffles", "0", "--folds", "2"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished collection, in the folder where the commands run."""
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "--exp", "tempnorm", "--run", "run", *SMALL]) == EXIT_DONE
    return tmp_path / "run"


@pytest.fixture
def broken_model(tmp_path: Path) -> Path:
    """A model folder whose weights end too early: only loading them shows it."""
    folder = tmp_path / "broken"
    shutil.copytree(MODEL, folder)
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1000])
    return folder


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_weights_that_do_not_load_leave_no_run_behind(
    tmp_path: Path, broken_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "--exp", "tempnorm", "--model", str(broken_model), "--run", "new", *SMALL]) == EXIT_USER
    assert _names(tmp_path) == ["broken"]


@pytest.mark.parametrize("devices", ["1", "2"])
def test_a_restart_with_weights_that_do_not_load_sets_nothing_aside(
    run: Path, broken_model: Path, devices: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "config.yaml").read_bytes()
    command = ["collect", "--exp", "tempnorm", "--run", "run", "--restart", "--model", str(broken_model), *SMALL]
    assert main([*command, "--devices", devices, "--accelerator", "cpu"]) == EXIT_USER
    assert _names(run) == ["config.yaml", "ended.json", "planned.json", "store"]
    assert (run / "config.yaml").read_bytes() == before
    assert "cannot be loaded" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--gen_number", "0"], ["--contexts", "nowhere"], ["--strategy", "none"], ["--limit", "0"]]
)
def test_a_restart_with_a_mistake_sets_nothing_aside(run: Path, words: list[str]) -> None:
    assert main(["collect", "--exp", "tempnorm", "--run", "run", "--restart", *SMALL, *words]) == EXIT_USER
    assert _names(run) == ["config.yaml", "ended.json", "planned.json", "store"]


def test_a_restart_without_room_sets_nothing_aside(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_experiments.collecting.budget.free_bytes", lambda path: 10)
    assert main(["collect", "--exp", "tempnorm", "--run", "run", "--restart", *SMALL]) == EXIT_USER
    assert _names(run) == ["config.yaml", "ended.json", "planned.json", "store"]


def test_a_restart_keeps_the_old_store_and_configuration_and_saves_the_new_one(run: Path) -> None:
    words = ["--restart", *SMALL, "--seed", "5"]
    assert main(["collect", "--exp", "tempnorm", "--run", "run", *words]) == EXIT_DONE
    assert _names(run) == ["config.yaml", "config.yaml.old-1", "ended.json", "planned.json", "store", "store.old-1"]
    assert yaml.safe_load((run / "config.yaml").read_text())["init_args"]["seed"] == 5
    assert yaml.safe_load((run / "config.yaml.old-1").read_text())["init_args"]["seed"] == 0


def test_a_training_that_is_refused_leaves_earlier_results_in_place(run: Path) -> None:
    assert main(["train", "--exp", "tempnorm_ridge", "--run", "run", *FIT]) == EXIT_DONE
    before = _names(run / "tempnorm_ridge")
    callback = ["--trainer.callbacks", "LearningRateMonitor"]  # needs a logger, and says so when training begins
    assert main(["train", "--exp", "tempnorm_ridge", "--run", "run", *FIT, "--restart", *callback]) == EXIT_USER
    assert _names(run) == ["certificate.json", "config.yaml", "ended.json", "planned.json", "store", "tempnorm_ridge"]
    assert _names(run / "tempnorm_ridge") == before


def test_a_checkpoint_is_resumed_only_where_there_is_one(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train", "--exp", "tempnorm_ridge", "--run", "run", *FIT]
    assert main([*train, "--ckpt_path", "last"]) == EXIT_USER
    assert "no interrupted training" in capsys.readouterr().err
    folder = run / "tempnorm_ridge" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "last.ckpt").write_bytes(b"PK torn")
    assert main([*train, "--ckpt_path", "last"]) == EXIT_USER
    assert "torn" in capsys.readouterr().err
    (folder / "last.ckpt").unlink()
    assert main(train) == EXIT_DONE
    assert not folder.exists()  # finished training keeps no checkpoint
    capsys.readouterr()
    assert main([*train, "--seed", "3", "--ckpt_path", "last"]) == EXIT_USER
    assert "no interrupted training" in capsys.readouterr().err
    folder.mkdir()
    (folder / "last.ckpt").write_bytes(b"left by a kill between the results and the clean-up")
    assert main([*train, "--seed", "3", "--ckpt_path", "last"]) == EXIT_USER
    assert "finished, with other settings" in capsys.readouterr().err


def test_results_that_cannot_be_read_are_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run / "tempnorm_ridge"
    folder.mkdir()
    (folder / "results.json").write_text('{"identity": ')
    assert main(["train", "--exp", "tempnorm_ridge", "--run", "run", *FIT]) == EXIT_USER
    assert "results.json is damaged" in capsys.readouterr().err
    assert json.dumps(_names(folder)) == '["results.json"]'


def test_a_file_url_is_the_folder_that_it_names(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", f"file://{run}"]) == EXIT_DONE
    assert "8 rows" in capsys.readouterr().out


def test_the_environment_sets_no_flag_in_secret(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PL_TRAINER_LIMIT_PREDICT_BATCHES", "1")
    assert main(["collect", "--exp", "tempnorm", "--run", "other", *SMALL]) == EXIT_USER
    assert "PL_TRAINER_LIMIT_PREDICT_BATCHES" in capsys.readouterr().err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == EXIT_DONE
    assert capsys.readouterr().out.startswith("lit-experiments ")


def test_list_takes_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "train"]) == EXIT_DONE
    printed = capsys.readouterr().out
    assert "tempnorm_ridge" in printed
    assert "collect:" not in printed


def test_a_pipeline_s_help_has_the_options_of_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "tempnorm", "--help"]) == EXIT_DONE
    text = " ".join(capsys.readouterr().out.split())
    for part in ("1 tempnorm collect --exp tempnorm", "--gen_length INT", "--penalties", "--model", "--trainer.logger"):
        assert part in text
