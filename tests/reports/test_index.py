"""The index of all runs: what there is, and what is stale or unfinished."""

import json
import shutil
from pathlib import Path

import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.reports.index import write_index
from lit_experiments.tasks.certificates import certificate_of, read_certified
from stores import certify, lock, open_store
from stores.elsewhere import point
from stores.files import open_files
from tests.toys import random_llama


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    model = random_llama(tmp_path_factory.mktemp("model"), seed=3)
    small = ["--gen_length", "2", "--eval_lengths", "[1, 2]", "--gen_number", "2", "--initial_wander", "2"]
    collect = ["collect", "--exp", "tempnorm", "--model", str(model), "--accelerator", "cpu", *small]
    assert main([*collect, "--run", str(folder / "one"), "--limit", "30"]) == EXIT_DONE
    fit = ["train", "--exp", "tempnorm_ridge", "--folds", "2", "--bootstraps", "20", "--shuffles", "19"]
    assert main([*fit, "--accelerator", "cpu", "--run", str(folder / "one")]) == EXIT_DONE
    return folder


def test_a_run_is_listed_with_what_came_out(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs)]) == EXIT_DONE
    assert capsys.readouterr().out.endswith(f"1 run. Index: {runs / 'index.html'}\n")
    page = (runs / "index.html").read_text()
    outcome = json.loads((runs / "one/tempnorm_ridge/page.json").read_text())["outcome"]
    assert outcome[0].split(".")[0] in page
    assert 'href="one/tempnorm_ridge/report.html"' in page
    assert "up to date" in page


def test_results_of_fewer_rows_are_stale_and_begun_ones_unfinished(runs: Path) -> None:
    results = runs / "one/tempnorm_ridge/results.json"
    kept = results.read_text()
    content = json.loads(kept)
    content["identity"]["rows"] = 12
    results.write_text(json.dumps(content))
    (run,) = write_index(runs)[1]
    assert [(task.state, task.reason) for task in run.tasks] == [("stale", "made from 12 rows; the store has 30 now")]
    results.unlink()
    (run,) = write_index(runs)[1]
    assert [task.state for task in run.tasks] == ["unfinished"]
    results.write_text(kept)


def test_results_pages_and_the_index_say_which_certificate_they_come_from(runs: Path) -> None:
    run, results = runs / "one", runs / "one/tempnorm_ridge"
    root = certify(open_store(run / "store")).root
    assert read_certified(run) == read_certified(results) == certificate_of(run, open_store(run / "store"))
    assert root == json.loads((results / "certificate.json").read_text())["root"]
    assert root in (results / "report.html").read_text()
    write_index(runs)
    assert f"certificate {root[:12]}" in (runs / "index.html").read_text()
    kept = (results / "certificate.json").read_text()
    (results / "certificate.json").write_text(kept.replace(root, "0" * 64))
    (entry,) = write_index(runs)[1]
    assert [(task.state, task.reason) for task in entry.tasks] == [
        ("stale", f"made from another content, certificate {'0' * 12}")
    ]
    (results / "certificate.json").write_text(kept)


def test_a_store_that_is_not_finished_has_no_certificate(runs: Path, tmp_path: Path) -> None:
    """No mark of the end, the mark of other commits, or somebody writing; what was remembered does not count then."""
    run = tmp_path / "run"
    shutil.copytree(runs / "one", run)
    store = open_store(run / "store")
    assert certificate_of(run, store).root
    with lock.exclusive(run / "store", 1):
        assert certificate_of(run, store).reason == "it is still being collected"
    (run / "ended.json").write_text('{"rows": 30, "commits": "others"}')
    assert "has changed" in str(certificate_of(run, store))
    (run / "ended.json").unlink()
    assert "not come to its end" in str(certificate_of(run, store))


def test_a_folder_without_runs_is_one_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == EXIT_USER
    assert "holds no run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_runs_on_object_storage_are_listed_by_their_working_copies(runs: Path, tmp_path: Path) -> None:
    """A folder whose runs all lie elsewhere was said to hold none."""
    url = f"memory://{tmp_path.name}/one"
    source = next(path.parent for path in sorted(runs.glob("*/store")))
    for file in (path for path in (source / "store").rglob("*") if path.is_file()):
        open_files(f"{url}/store").publish(file.relative_to(source / "store").as_posix(), file.read_bytes())
    copy = tmp_path / "runs" / "s3" / "bucket" / "one"
    shutil.copytree(source, copy, ignore=lambda folder, names: {"store"} & set(names))
    point(copy / "store", f"{url}/store")
    page, (listed,) = write_index(tmp_path / "runs")
    assert (listed.folder, listed.rows) == (copy, len(open_store(source / "store")))
    assert "s3/bucket/one" in page.read_text()
    _, (beside,) = write_index(copy.parent)
    assert beside.folder == copy
