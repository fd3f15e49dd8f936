"""The command line: the same few verbs for everything, quick help, and one message for each mistake."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lit_experiments.cli import configs, main
from lit_experiments.cli.parser import resolve, select
from lit_experiments.cli.pipeline_file import read_pipeline
from lit_experiments.cli.signatures import arguments
from lit_experiments.errors import EXIT_DONE, EXIT_USER

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = [(verb, name) for verb in configs.VERBS for name in configs.available(verb)]


def _error(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Runs a command that must fail as the user's mistake; returns its message."""
    assert main(list(argv)) == EXIT_USER
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize(("verb", "name"), EXPERIMENTS)
def test_every_shipped_yaml_resolves_bare_and_with_every_preset(verb: str, name: str) -> None:
    presets = configs.read_yaml(configs.find(verb, name)).get("presets") or {}
    for preset in (None, *presets):
        argv = ["--exp", name, *(["--preset", preset] if preset else [])]
        resolved = resolve(verb, select(verb, argv))
        assert resolved.exp == name
        assert set(resolved.init_args) == {a.name for a in arguments(resolved.class_path)}


@pytest.mark.parametrize(("verb", "name"), EXPERIMENTS)
def test_every_option_of_every_experiment_is_documented(verb: str, name: str) -> None:
    base, _ = configs.load(verb, name, None)
    assert all(a.help for a in arguments(base["class_path"]))


@pytest.mark.parametrize("name", configs.available("pipelines"))
def test_every_pipeline_names_experiments_that_exist(name: str) -> None:
    steps = read_pipeline(name).steps
    assert steps
    for step in steps:
        assert step.exp in configs.available(step.verb)


def test_a_printed_configuration_repeats_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [
        "collect",
        "--exp",
        "tempnorm",
        "--gen_length",
        "50",
        "--eval_lengths",
        "[1, 50]",
        "--stop_at_eos",
        "--print_config",
    ]
    assert main(argv) == EXIT_DONE
    printed = capsys.readouterr().out
    saved = tmp_path / "config.yaml"
    saved.write_text(printed)
    assert main(["collect", "--config", str(saved), "--print_config"]) == EXIT_DONE
    assert capsys.readouterr().out == printed
    content = yaml.safe_load(printed)
    assert content["init_args"]["gen_length"] == 50
    assert content["init_args"]["stop_at_eos"] is True


def test_trainer_flags_go_to_the_trainer_typed() -> None:
    selection = select("collect", ["--exp", "tempnorm", "--trainer.detect_anomaly", "true", "--devices=2"])
    options = resolve("collect", selection).options
    assert options["trainer"] == {"detect_anomaly": True}
    assert options["devices"] == 2


def test_command_line_wins_over_preset_and_preset_over_file() -> None:
    selection = select("collect", ["--exp", "tempnorm", "--preset", "full", "--gen_number", "3"])
    resolved = resolve("collect", selection)
    assert resolved.init_args["gen_number"] == 3
    assert resolved.init_args["gen_length"] == 100
    assert resolved.options["model"] == "facebook/opt-125m"
    assert resolved.options["backend"] == "zarr"


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["colect"], ['Did you mean "collect"?', "Verbs: collect, train"]),
        (["collect"], ["Which experiment?", "tempnorm"]),
        (["collect", "--exp"], ["--exp needs a value"]),
        (["collect", "--exp", "tempnrm"], ['"tempnrm"', 'Did you mean "tempnorm"?', "lit-experiments list"]),
        (["collect", "--exp", "tempnorm", "--preset", "ful"], ['Did you mean "full"?']),
        (["collect", "--exp", "tempnorm", "--gen_lenght", "3"], ['"--gen_lenght"', 'Did you mean "gen_length"?']),
        (["collect", "--exp", "tempnorm", "--gen_length", "three"], ['"gen_length"', "'three'", "int"]),
        (["collect", "--exp", "tempnorm", "--gen_length"], ["gen_length"]),
        (["collect", "--exp", "tempnorm", "--backend", "csv"], ["backend", "csv", "zarr", "hdf5"]),
        (["collect", "--exp", "tempnorm", "--precision", "bf16-tru"], ['Did you mean "bf16-true"?']),
        (["collect", "--exp", "tempnorm", "--config", "nowhere.yaml"], ["nowhere.yaml", "No such file"]),
        (["train", "--exp", "tempnorm_ridg"], ['Did you mean "tempnorm_ridge"?']),
        (["run", "tempnom"], ['Did you mean "tempnorm"?']),
        (["run", "tempnorm", "--gen_lenght", "3"], ['Did you mean "gen_length"?']),
        (["inspect", "runs/nothing"], ["holds no store"]),
        (["export", "runs/nothing", "--format", "xls", "--out", "x"], ["xls"]),
    ],
)
def test_a_mistake_is_answered_with_one_message(
    argv: list[str],
    parts: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    message = _error(capsys, *argv)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("class_path: a.B\nbogus: 1\n", ["there is no module 'a'"]),
        ("init_args: {}\n", ["no class_path"]),
        ("- 1\n", ["must hold a mapping"]),
        ("a: [\n", ["not valid YAML"]),
        (
            "class_path: lit_experiments.experiments.tempnorm.collect.Nope\n",
            ["defines no class 'Nope'", "TempnormCollector"],
        ),
        (
            "class_path: lit_experiments.experiments.tempnorm.collect.TempnormCollector\nbatch_token: 1\n",
            ['Unknown key "batch_token"', 'Did you mean "batch_tokens"?', "mine.yaml"],
        ),
        (
            "class_path: lit_experiments.experiments.tempnorm.collect.TempnormCollector\ninit_args: {alpa: 1}\n",
            ['Unknown key "alpa"', 'Did you mean "alpha"?', "mine.yaml"],
        ),
        (
            "class_path: lit_experiments.experiments.tempnorm.collect.TempnormCollector\ninit_args: {alpha: x}\n",
            ['"alpha"', "'x'", "float", "mine.yaml"],
        ),
    ],
)
def test_a_mistake_in_a_users_yaml_names_file_and_key(
    content: str, parts: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "configs" / "collect"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(content)
    monkeypatch.chdir(tmp_path)
    message = _error(capsys, "collect", "--exp", "mine")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    "argv", [[], ["--help"], ["collect", "--help"], ["collect", "--exp", "tempnorm", "--help"], ["run", "-h"]]
)
def test_help_needs_no_torch(argv: list[str]) -> None:
    code = (
        f"import sys; from lit_experiments.cli import main; c = main({argv!r}); "
        "assert 'torch' not in sys.modules; sys.exit(c)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "Usage: lit-experiments" in done.stdout


def test_help_of_an_experiment_shows_its_options_with_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "--exp", "tempnorm", "--help"]) == EXIT_DONE
    text = " ".join(capsys.readouterr().out.split())
    assert "--gen_length INT Tokens in each continuation. (default: 40)" in text
    assert "--too_long error|skip|truncate" in text
    assert "--devices INT|STR" in text
