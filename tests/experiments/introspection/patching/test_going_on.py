"""An analysis that was cut short goes on and ends the same; what cannot be done is one message."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED, EXIT_USER
from lit_experiments.experiments.introspection.patching.run import LayerRun, Parts
from tests.experiments.introspection.patching.runs import (
    SELF,
    analyze,
    copied,
    layers,
)
from tests.experiments.introspection.planted_model import (
    write_model,
)


def test_an_interruption_says_that_the_same_command_goes_on(
    collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, write = copied(collected, tmp_path), Parts.write

    def interrupted(parts: Parts, kind: str, site: str, layer: LayerRun) -> None:
        write(parts, kind, site, layer)
        raise KeyboardInterrupt

    monkeypatch.setattr(Parts, "write", interrupted)
    assert analyze(run, randoms="19") == EXIT_STOPPED
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.undo()
    assert analyze(run, randoms="19") == EXIT_DONE
    assert "Going on: 1 of 9" in capsys.readouterr().err


def test_an_analysis_that_was_cut_short_goes_on_and_ends_the_same(
    patched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(patched, tmp_path)
    out = run / "introspection_patching"
    whole = (out / "result.json").read_bytes()
    (out / "results.json").unlink()
    (out / "parts" / f"{SELF}.resid_post.1.json").unlink()
    (out / "parts" / f"{SELF}.resid_post.1.json.tmp").write_text('{"identity": "half')
    kept = (out / "parts" / "mcq.resid_post.0.json").stat().st_mtime_ns
    assert analyze(run) == EXIT_DONE
    assert "Going on: 8 of 9 layers and passes were done before." in capsys.readouterr().err
    assert (out / "result.json").read_bytes() == whole
    assert (out / "parts" / "mcq.resid_post.0.json").stat().st_mtime_ns == kept
    (out / "results.json").unlink()
    assert analyze(run, "--seed", "1", "--layers", "[resid_post.1]", randoms="19") == EXIT_DONE
    assert "Going on" not in capsys.readouterr().err


def test_results_are_kept_for_another_device_and_made_again_for_other_directions(
    patched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(patched, tmp_path)
    assert analyze(run, "--together", "3", "--device", "auto") == EXIT_DONE
    assert "is up to date" in capsys.readouterr().out
    file = run / "introspection_directions" / "directions.safetensors"
    save_file({name: -tensor if "direction" in name else tensor for name, tensor in load_file(file).items()}, file)
    assert analyze(run, "--layers", "[resid_post.1]", randoms="19") == EXIT_DONE
    assert "Set aside" in capsys.readouterr().out
    assert layers(run, SELF, "steer", "confidence")[0]["slope"]["high"] < -6


def lose_directions(run: Path) -> None:
    shutil.rmtree(run / "introspection_directions")


def directions_of_fewer_rows(run: Path) -> None:
    file = run / "introspection_directions" / "results.json"
    kept = json.loads(file.read_text())
    kept["identity"]["rows"] -= 1
    file.write_text(json.dumps(kept))


@pytest.mark.parametrize(
    ("spoil", "options", "says"),
    [
        (lose_directions, [], ["holds no finished results", "analyze --exp introspection_directions --run"]),
        (directions_of_fewer_rows, [], ["has changed since", "introspection_directions"]),
        (None, ["--layers", "[resid_post.7]"], ["layers must name sites", "resid_post.0, resid_post.1, resid_post.2"]),
        (None, ["--multiples", "[0, 1]"], ["multiples must be different numbers other than 0"]),
        (None, ["--pairs", "3"], ["pairs must be at least 4, found 3"]),
        (None, ["--model", "embedded"], ["is not the model that", "collected", "--model PATH_OR_ID"]),
    ],
)
def test_what_cannot_be_done_is_one_message(
    collected: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None] | None,
    options: list[str],
    says: list[str],
) -> None:
    run = copied(collected, tmp_path)
    if spoil is not None:
        spoil(run)
    assert analyze(run, *options) == EXIT_USER
    message = capsys.readouterr().err
    assert "Traceback" not in message
    for part in says:
        assert part in message


def test_a_model_that_has_changed_since_is_refused(
    collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_model(tmp_path / "other")
    same = partial(analyze, collected, "--layers", "[resid_post.2]", "--model", str(other), randoms="19")
    weights = other / "model.safetensors"
    tensors = load_file(weights)
    save_file(tensors | {"lm_head.weight": tensors["lm_head.weight"] * 1.01}, weights, metadata={"format": "pt"})
    assert same() == EXIT_USER
    assert "is not the model that" in capsys.readouterr().err
    assert not (collected / "introspection_patching" / "result.json").exists()
