"""What cards say, and that the Hub would take them."""

import re
from pathlib import Path

import yaml

import stores
from lit_experiments.cli import main
from lit_experiments.hub.card import size_category
from tests.hub.conftest import ROWS, write_run

TO = "hf://user/run"


def test_a_preview_sends_nothing_and_needs_no_hub(hub, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    run = write_run(tmp_path / "one")
    assert main(["push", str(run), TO, "--dry_run", "--license", "cc-by-4.0"]) == 0
    assert hub.log() == []
    card, _, files = capsys.readouterr().out.partition("hf://datasets/user/run would get")
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "cc-by-4.0"
    assert front["size_categories"] == ["n<1K"]
    for name in ("store/store.json", "audit/audit.json", "certificate.json", "ended.json", "README.md"):
        assert f"  {name}\n" in files
    assert ".lock" not in files


def test_a_card_says_what_the_store_and_the_audit_say(hub, tmp_path, capsys):
    run = write_run(tmp_path / "one")
    assert main(["push", str(run), TO, "--dry_run"]) == 0
    card = capsys.readouterr().out
    root = stores.certify(stores.open_store(run / "store")).root
    for line in (
        f"{ROWS} rows",
        "Model: `org/tiny`",
        "Revision: `v1`",
        f"Commit: `{'c' * 40}`",
        f"Texts: `texts.csv`, SHA-256 `{'d' * 64}`",
        f"`{root}`",
        "| `hidden_last` | site 4 x sample 60 x hidden 64 | float32 |",
        "| a | supported | R2 | 0.00 | 0.600 [0.500, 0.700] |",
        'stores.open_store("hf://datasets/user/run")',
        "Computed in bfloat16",
        "No license was given",
    ):
        assert line in card, line
    assert "/home/somebody" not in card


def test_the_python_of_a_card_runs(hub, tmp_path, capsys):
    assert main(["push", str(write_run(tmp_path / "one")), TO]) == 0
    assert main(["pull", TO, "--out", "back"]) == 0
    code = re.search(r"```python\n(.*?)```", Path("back/README.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(code[1], names)
    assert len(names["store"]) == ROWS


def test_a_card_that_somebody_edited_stays(hub, tmp_path, capsys):
    from huggingface_hub import HfApi

    run = write_run(tmp_path / "one")
    assert main(["push", str(run), TO]) == 0
    api = HfApi(endpoint=hub.endpoint)
    edited = "---\nlicense: mit\n---\n\nMine.\n"
    api.upload_file(path_or_fileobj=edited.encode(), path_in_repo="README.md", repo_id="user/run", repo_type="dataset")
    capsys.readouterr()
    assert main(["push", str(run), TO, "--license", "other"]) == 0
    assert "README.md was edited there, and stays" in capsys.readouterr().out
    assert main(["pull", TO, "--out", "back"]) == 0
    assert Path("back/README.md").read_text() == edited


def test_a_card_that_the_hub_refuses_is_one_message(hub, tmp_path, capsys):
    assert main(["push", str(write_run(tmp_path / "one")), TO, "--license", "my-own"]) == 2
    assert "license" in capsys.readouterr().err


def test_size_categories_are_the_hubs():
    sizes = {1: "n<1K", 999: "n<1K", 1000: "1K<n<10K", 123_456: "100K<n<1M", 10**8: "100M<n<1B"}
    assert {rows: size_category(rows) for rows in sizes} == sizes
