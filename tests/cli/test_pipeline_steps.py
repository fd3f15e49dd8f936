"""Pipelines: which steps are run, what a YAML file gives to all or to one of them, what is said before any of it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.fork_server import ForkServer
from lit_experiments.cli import main
from lit_experiments.cli.pipeline_commands import Planned, given_to, grouped, plan
from lit_experiments.cli.pipeline_file import choose, read_pipeline
from lit_experiments.errors import EXIT_DONE, EXIT_USER, UserError

VERBS = ("collect", "analyze")
SMALL = {"num_problems": 2, "max_new_tokens": 24, "completions": 2, "latent_sampling_stride": 2, "bootstraps": 5}


def chosen(selection: str | None, name: str = "geometry") -> list[str]:
    return [f"{step.verb} {step.exp}" for step in choose(read_pipeline(name), selection)]


def planned(*words: str, name: str | None = "geometry", config: str | None = None) -> list[Planned]:
    pipeline = read_pipeline(name, config)
    return plan(pipeline, given_to(pipeline, grouped(words)))


def options(entry: Planned) -> dict[str, str]:
    """The options of a command that are given as --key=value."""
    words = [word.removeprefix("--").partition("=") for word in entry.command or [] if "=" in word]
    return {key: value for key, _, value in words}


@pytest.mark.parametrize(
    ("selection", "steps"),
    [
        ("2", ["collect sampling_variance", "analyze sampling_variance"]),
        ("variance", ["collect sampling_variance", "analyze sampling_variance"]),
        ("sampling_variance", ["collect sampling_variance", "analyze sampling_variance"]),
        ("3", ["collect manifold"]),
        ("4", ["analyze manifold"]),
        ("3-4", ["collect manifold", "analyze manifold"]),
        ("7,3", ["collect manifold", "collect clustering", "analyze clustering"]),
        (
            "6 6-7 clustering",
            ["collect attribution", "analyze attribution", "collect clustering", "analyze clustering"],
        ),
    ],
)
def test_steps_are_chosen_by_number_range_and_name(selection: str, steps: list[str]) -> None:
    assert chosen(selection) == steps


def test_the_study_s_numbers_are_those_of_its_plan_and_all_steps_run_by_default() -> None:
    assert len(chosen("2,3-4,5,6,7")) == len(chosen(None)) == 10
    assert chosen("5,6") == [f"{verb} {exp}" for exp in ("path_sensitivity", "attribution") for verb in VERBS]


def test_steps_without_a_number_are_counted_and_are_called_like_their_experiment() -> None:
    assert chosen("2", "tempnorm") == chosen("tempnorm_ridge", "tempnorm") == ["train tempnorm_ridge"]
    assert chosen("introspection_probes", "introspection") == chosen("2,9", "introspection")


@pytest.mark.parametrize(
    "selection", ["1", "8", "2,9", "4-3", "1-2", "7-9", "varianse", "-1", "3-", "2.5", "collect", "2;3"]
)
def test_an_unknown_step_is_refused_with_the_list(selection: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "geometry", f"--steps={selection}"]) == EXIT_USER
    message = capsys.readouterr().err
    assert "has no step" in message
    assert "  7  clustering        analyze --exp clustering" in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "words", [["--steps"], ["--steps="], ["--config"], ["2,3"], ["--steps", "2", "--", "x"], ["--run", "a", "b"]]
)
def test_a_command_line_that_means_nothing_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "geometry", *words]) == EXIT_USER
    assert "Next:" in capsys.readouterr().err


def test_steps_may_be_words_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "geometry", "--steps", "2", "9"]) == EXIT_USER
    assert 'has no step "9"' in capsys.readouterr().err
    assert main(["run", "geometry", "--stepps=2"]) == EXIT_USER
    assert 'Did you mean "steps"?' in capsys.readouterr().err


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "pipelines").mkdir(parents=True)
    return tmp_path


def written(path: Path, content: dict[Any, Any]) -> str:
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_one_file_gives_options_to_all_steps_and_to_single_ones(here: Path) -> None:
    prompt = "Q: {question}\nA:"
    content = {
        "shared": {"prompt": prompt, "seed": 3, "chat_template": False, "latent_sampling_stride": 2, "limit": 5},
        "options": {"variance": {"temperatures": [0.0, 1.5], "seed": 4}, "clustering": {"layers": None}},
    }
    file = written(here / "mine.yaml", content)
    variance, _, manifold, _, path, _, attribution, _, clustering, analysis = planned(config=file)
    for collecting in (variance, manifold, path, clustering):
        assert options(collecting)["prompt"] == prompt
        assert options(collecting)["latent_sampling_stride"] == "2"
        assert options(collecting)["chat_template"] == "false"
    assert options(variance)["temperatures"] == "[0.0, 1.5]"
    assert [options(entry)["seed"] for entry in (variance, manifold, clustering, analysis)] == ["4", "3", "3", "3"]
    assert options(clustering)["layers"] == "null"
    assert options(attribution) == {
        "run": "runs/geometry-attribution",
        "path_run": "runs/geometry-path_sensitivity",
        "limit": "5",
    }


def test_the_command_line_is_stronger_than_the_file(here: Path) -> None:
    file = written(here / "mine.yaml", {"shared": {"seed": 3}, "options": {"variance": {"completions": 5, "seed": 4}}})
    variance, _, manifold, *_ = planned("--seed=9", "--completions=7", config=file)
    assert [options(entry)[key] for entry in (variance, manifold) for key in ("seed", "completions")] == ["9", "7"] * 2


def test_a_file_that_extends_a_pipeline_is_one_by_itself(here: Path) -> None:
    content = {"extends": "geometry", "shared": {"model": "some/model", "seed": 1}}
    written(here / "configs" / "pipelines" / "mine.yaml", content)
    assert [options(entry)["model"] for entry in planned(name="mine") if entry.step.verb == "collect"] == [
        "some/model"
    ] * 5
    assert planned(name="mine")[0].folder == "runs/mine-sampling_variance"
    again = written(here / "again.yaml", {"extends": "mine", "shared": {"seed": 2, "run": "here/too"}})
    first = planned(name=None, config=again)[0]
    assert first.folder == "here/too-sampling_variance"
    assert (options(first)["seed"], options(first)["model"]) == ("2", "some/model")


def test_a_namesake_in_the_user_s_folder_may_extend_the_shipped_pipeline(here: Path) -> None:
    written(here / "configs" / "pipelines" / "geometry.yaml", {"extends": "geometry", "shared": {"seed": 5}})
    assert options(planned()[0])["seed"] == "5"


def test_a_shared_model_leaves_out_what_belongs_to_the_embedded_one(here: Path) -> None:
    file = written(here / "mine.yaml", {"shared": {"model": "other"}})
    assert sum(entry.command is None for entry in planned(name="introspection", config=file)) == 8
    file = written(here / "mine.yaml", {"shared": {"model": "other", "adapter": "a"}})
    commands = planned(name="introspection", config=file)
    assert all(entry.command is not None for entry in commands)
    assert "adapter" not in options(commands[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"shared": {"complet1ons": 3}}, 'no step knows the shared option "complet1ons". Did you mean "completions"?'),
        ({"options": {2: {"seed": 1}}}, 'options has a step "2"'),
        ({"shared": {3: 4}}, 'no step knows the shared option "3"'),
        ({5: 6}, 'Unknown key "5"'),
        ({"options": {"varianc": {"seed": 1}}}, 'options has a step "varianc". Did you mean "variance"?'),
        ({"options": {"attribution": {"prompt": "x"}}}, 'step attribution does not know the option "prompt"'),
        ({"options": {"variance": {"run": "x"}}}, 'step variance does not know the option "run"'),
        ({"options": {"variance": 3}}, "options of variance must be a mapping"),
        ({"shared": [1]}, "shared must be a mapping"),
        ({"shared": {"restart": True}}, "restart belongs on the command line: --restart"),
        ({"shaerd": {}}, 'Unknown key "shaerd"'),
        ({"steps": [{"collect": "manifold", "number": "two"}]}, "number must be a whole number"),
        ({"steps": {"collect": "manifold"}}, "steps must be a list"),
        ({"steps": [{"collect": "manifold", "needs": "adapter"}]}, "needs must be a list"),
        ({"steps": [3]}, "must name one of collect, train, analyze, found 3"),
        ({"figures": True}, "figures must name a folder"),
        ({"extends": "geometri"}, 'Did you mean "geometry"?'),
    ],
)
def test_a_mistake_in_the_file_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], content: dict[Any, Any], message: str
) -> None:
    assert main(["run", "geometry", "--config", written(here / "mine.yaml", content)]) == EXIT_USER
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_a_file_without_steps_needs_a_pipeline(here: Path) -> None:
    with pytest.raises(UserError, match="lists no steps and extends no pipeline"):
        read_pipeline(None, written(here / "mine.yaml", {"shared": {"seed": 1}}))
    with pytest.raises(UserError, match="Which pipeline"):
        read_pipeline(None)


def test_files_that_extend_each_other_are_refused(here: Path) -> None:
    folder = here / "configs" / "pipelines"
    written(folder / "one.yaml", {"extends": "two"})
    written(folder / "two.yaml", {"extends": "one"})
    with pytest.raises(UserError, match="extends itself"):
        read_pipeline("one")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--restarts=many"], 'Wrong type for "restarts"'),  # of the last analysis
        (["--judge_pairs=0"], "judge_pairs must be at least 1"),
        (["--oracle_percentage=[0.5,x]"], "oracle_percentage"),
    ],
)
def test_a_wrong_value_for_the_last_step_is_said_before_the_first_one_runs(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["run", "geometry", *words]) == EXIT_USER
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert not (here / "runs").exists()


def test_inputs_are_the_steps_that_write_what_a_step_reads() -> None:
    def inputs(name: str, place: int) -> list[str]:
        every = planned(name=name)
        return [str(entry.step) for entry in every[place].inputs(every)]

    assert inputs("geometry", 0) == inputs("geometry", 2) == []
    assert inputs("geometry", 3) == ["3 manifold: collect"]
    assert inputs("geometry", 6) == ["5 path_sensitivity: collect", "5 path_sensitivity: analyze"]
    assert inputs("pos", 2) == ["2 pos_probe: train"]
    assert inputs("prefill_dynamics", 1) == ["1 prefill_dynamics: collect"]


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(here: Path, fork_server: Callable[[], ForkServer]) -> Run:
    """Runs the pipeline with further words, in a process of its own."""
    return lambda *words: fork_server().run(["run", "geometry", *words], here)


@pytest.mark.slow
def test_a_step_whose_input_is_missing_points_to_the_steps_that_make_it(here: Path, run: Run) -> None:
    ended = run("--steps", "6")
    assert ended.returncode == EXIT_USER
    assert "runs/geometry-path_sensitivity" in ended.stderr
    assert "Next: lit-experiments run geometry --steps 5,6" in ended.stderr
    ended = run("--steps=4", "--run", "elsewhere/run")
    assert "elsewhere/run-manifold holds no store" in ended.stderr
    assert "Next: lit-experiments run geometry --steps 3,4" in ended.stderr


@pytest.mark.slow
def test_a_dry_run_tries_the_collections_lists_the_rest_and_writes_nothing(here: Path, run: Run) -> None:
    file = written(here / "small.yaml", {"shared": SMALL, "options": {"variance": {"token_checkpoints": [4, 8]}}})
    ended = run("--dry_run", "--config", file, "--steps", "3-6")
    assert ended.returncode == EXIT_DONE, ended.stderr
    lines = ended.stdout.splitlines()
    assert sum("Not estimated: it reads the results of steps that have not run yet" in line for line in lines) == 4
    rows = {line.split(":")[0]: line.split() for line in lines if line.endswith(" s")}
    assert rows["3 manifold"][3] == "4"  # two problems, free and forced
    assert rows["5 path_sensitivity"][3] == "2"
    assert next(line for line in lines if line.startswith("together")).split()[1] == "6"
    assert sorted(path.name for path in here.iterdir()) == ["configs", "small.yaml"]


@pytest.mark.slow
def test_chosen_steps_run_alone_and_their_figures_are_gathered(here: Path, run: Run) -> None:
    file = written(here / "small.yaml", {"shared": SMALL})
    ended = run("--steps=5", "--config", file, "--bootstraps=6")
    assert ended.returncode == EXIT_DONE, ended.stderr
    assert sorted(path.name for path in (here / "runs").iterdir()) == ["geometry-figures", "geometry-path_sensitivity"]
    index = (here / "runs" / "geometry-figures" / "index.html").read_text()
    assert 'href="../geometry-path_sensitivity/path_sensitivity/report.html"' in index
    results = json.loads((here / "runs/geometry-path_sensitivity/path_sensitivity/result.json").read_text())
    assert results["problems"] == 2
