"""The verb `audit`: one verdict per claim of a run, and claims that people wrote."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import stores
from lit_experiments.claims.claim import claims_hash
from lit_experiments.cli import main
from lit_experiments.cli.claims_file import read_claims
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.reports.index import write_index
from tests.agreement import disagreements
from tests.experiments.linear_probes.written import planted, random_texts, train, write_store

ROWS = 240


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two numbers per text: one along a direction of the states, and one of nothing."""
    folder = tmp_path_factory.mktemp("audit") / "r"
    rng = np.random.default_rng(3)
    truth = rng.normal(size=ROWS)
    columns = {"text": random_texts(rng, ROWS), "truth": truth.tolist(), "noise": rng.normal(size=ROWS).tolist()}
    write_store(folder, planted(rng, 2 * truth), columns, {"text": "string", "truth": "float64", "noise": "float64"})
    assert train(folder, "--target", "[truth, noise]") == EXIT_DONE
    return folder


def audit(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "audit" / "audit.json").read_text())
    return content


def test_every_target_is_one_claim_with_one_verdict(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(run)]) == EXIT_DONE
    claims = {claim["target"]: claim for claim in audit(run)["claims"]}
    assert {target: claim["verdict"] for target, claim in claims.items()} == {
        "truth": "supported",
        "noise": "not supported",
    }
    assert claims["truth"]["task"] == "linear_probes"
    assert claims["truth"]["states"] == "states"
    assert claims["truth"]["numbers"]["score"]["value"] > 0.5
    assert len(claims["truth"]["numbers"]["twins"]["scores"]) == 5
    assert not claims["truth"]["stale"]
    assert "supported 1, not supported 1" in " ".join(capsys.readouterr().out.split())
    assert (run / "audit" / "report.html").is_file()


def test_the_index_shows_the_audit_and_whether_it_is_of_the_results_as_they_are(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "r", ignore=shutil.ignore_patterns("audit"))
    assert main(["audit", str(tmp_path / "r")]) == EXIT_DONE
    assert disagreements(tmp_path) == []
    assert "supported 1, not supported 1" in (tmp_path / "index.html").read_text()
    result = tmp_path / "r" / "linear_probes" / "result.json"
    content = json.loads(result.read_text())
    content["claims"][0]["evidence"]["p"] += 0.25
    result.write_text(json.dumps(content))
    (entry,) = write_index(tmp_path)[1]
    assert (entry.tasks[0].state, entry.tasks[0].reason) == ("stale", "of other results: linear_probes/states/truth")


def test_a_file_of_claims_is_judged_beyond_what_it_names(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text("- {id: mine, task: linear_probes, target: truth, beyond: [surface]}\n")
    assert main(["audit", str(run), "--claims", str(path)]) == EXIT_DONE
    content = audit(run)
    (claim,) = content["claims"]
    assert (claim["id"], claim["verdict"]) == ("mine", "supported")
    assert set(claim["claims"]) == {"readable", "beyond the surface"}
    assert len(content["claims_file"]) == 64
    assert content["registered"] is None


def test_claims_that_were_written_before_the_collection_are_known_again(tmp_path: Path) -> None:
    path, run = tmp_path / "claims.yaml", tmp_path / "run"
    path.write_text("- {task: linear_probes, target: characters, beyond: [surface]}\n")
    argv = ["collect", "--exp", "activations", "--run", str(run), "--limit", "60", "--claims", str(path)]
    assert main(argv) == EXIT_DONE
    digest = claims_hash(read_claims(str(path)))
    assert stores.open_store(run / "store").provenance["claims"] == digest
    assert "claims" not in yaml.safe_load((run / "config.yaml").read_text())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("- {task: linear_probes, target: trth}\n", ["trth", "the nearest is linear_probes/truth"]),
        ("- {task: linear_probes, target: truth, beyond: [output]}\n", ["output", "surface, random weights"]),
        ("- {task: linear_probes\n", ["not valid YAML", "line 2"]),
    ],
)
def test_a_claim_that_nothing_was_trained_for_is_refused(
    run: Path, tmp_path: Path, text: str, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    assert main(["audit", str(run), "--claims", str(path)]) == EXIT_USER
    stderr = capsys.readouterr().err
    for part in parts:
        assert part in stderr


def test_a_run_without_trainings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(tmp_path)]) == EXIT_USER
    assert "holds no store" in capsys.readouterr().err
    rng = np.random.default_rng(1)
    write_store(tmp_path / "r", planted(rng, np.zeros(30)), {"text": random_texts(rng, 30)}, {"text": "string"})
    assert main(["audit", str(tmp_path / "r")]) == EXIT_USER
    assert "no finished training with claims" in capsys.readouterr().err
