"""A collection from a model that lies on the disk is the collection of the model in memory, whatever else is used."""

from pathlib import Path

import pytest
import yaml

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER

TEXTS = "text,label\n" + "\n".join(f"the river of number {i} is long,{i % 2}" for i in range(12)) + "\n"


def _collect(folder: Path, run: str, *options: str) -> int:
    (folder / "texts.csv").write_text(TEXTS)
    texts = ("--texts", str(folder / "texts.csv"), "--text_column", "text", "--label_columns", "[label]")
    common = ("--accelerator", "cpu", "--sites", "resid_post.*", "--generate", "3")
    return main(["collect", "--exp", "activations", *texts, *common, "--run", str(folder / run), *options])


def _certificate(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["certificate", str(run)]) == EXIT_DONE
    return capsys.readouterr().out.split()[-1]


def test_blocks_on_the_disk_give_the_same_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = tmp_path / "places.yaml"
    places.write_text(yaml.safe_dump({"max_memory": {"cpu": 4_000_000}}))
    assert _collect(tmp_path, "memory") == EXIT_DONE
    assert _collect(tmp_path, "disk", "--device_map", str(places)) == EXIT_DONE
    assert _certificate(tmp_path / "disk", capsys) == _certificate(tmp_path / "memory", capsys)


def test_few_bits_make_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("bitsandbytes")
    assert _collect(tmp_path, "run", "--quantization", "8bit") == EXIT_DONE
    recorded = stores.open_store(tmp_path / "run" / "store").fingerprint["model"]["quantization"]
    assert recorded["load_in_8bit"] is True
    capsys.readouterr()
    assert _collect(tmp_path, "run") == EXIT_USER
    assert "quantization" in capsys.readouterr().err


def test_one_model_on_many_devices_has_one_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _collect(tmp_path, "run", "--device_map", "auto", "--devices", "2") == EXIT_USER
    assert "--devices 1" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
