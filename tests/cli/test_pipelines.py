"""Pipelines: which command each step becomes."""

from pathlib import Path

import pytest

from lit_experiments.cli import configs, main
from lit_experiments.cli.pipeline_commands import given_to, grouped, plan
from lit_experiments.cli.pipeline_file import read_pipeline
from lit_experiments.errors import EXIT_USER, UserError

STEPS = """\
steps:
  - collect: introspection
  - collect: introspection
    run: "{run}-tuned"
    options: {adapter: embedded}
    needs: [adapter]
  - analyze: introspection_directions
    run: "{run}-tuned"
    needs: [adapter]
"""


@pytest.fixture(autouse=True)
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline of the user's own, in the folder where the commands run."""
    folder = tmp_path / "configs" / "pipelines"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(STEPS)
    monkeypatch.chdir(tmp_path)


def of(*words: str) -> list[list[str] | None]:
    pipeline = read_pipeline("mine")
    return [planned.command for planned in plan(pipeline, given_to(pipeline, grouped(words)))]


def test_each_collection_has_a_folder_of_its_own_beside_the_first() -> None:
    assert of() == [
        ["collect", "--exp", "introspection", "--run=runs/mine"],
        ["collect", "--exp", "introspection", "--run=runs/mine-tuned", "--adapter=embedded"],
        ["analyze", "--exp", "introspection_directions", "--run=runs/mine-tuned"],
    ]
    assert of("--run", "here")[1] == ["collect", "--exp", "introspection", "--run=here-tuned", "--adapter=embedded"]


def test_an_option_goes_to_the_steps_that_know_it() -> None:
    first, second, third = of("--devices", "2", "--folds=3")
    assert first == ["collect", "--exp", "introspection", "--run=runs/mine", "--devices", "2"]
    assert second is not None
    assert second[-2:] == ["--devices", "2"]
    assert third is not None
    assert third[-1] == "--folds=3"


def test_an_option_that_a_step_sets_for_itself_goes_to_that_step_alone() -> None:
    first, second, _ = of("--adapter", "mine")
    assert first == ["collect", "--exp", "introspection", "--run=runs/mine"]
    assert second == ["collect", "--exp", "introspection", "--run=runs/mine-tuned", "--adapter", "mine"]


def test_steps_whose_own_values_fit_the_embedded_model_only_are_left_out_for_another() -> None:
    assert of("--model", "other")[1:] == [None, None]
    assert of("--preset=full")[0] == ["collect", "--exp", "introspection", "--run=runs/mine-full", "--preset=full"]
    assert None not in of("--model", "embedded")
    assert None not in of("--model=other", "--adapter=mine")


@pytest.mark.parametrize("words", [["--run"], ["--run="], ["--model"]])
def test_an_option_without_its_value_is_a_mistake(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "mine", *words]) == EXIT_USER
    assert "needs a value" in capsys.readouterr().err


def test_an_unknown_key_of_a_step_is_named(tmp_path: Path) -> None:
    (configs.config_folders()[0] / "pipelines" / "mine.yaml").write_text("steps: [{collect: introspection, fodler: x}]")
    with pytest.raises(UserError, match="unknown key 'fodler'; allowed: run, options, needs, number, name"):
        of()
