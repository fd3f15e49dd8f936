"""What the README and the guides show works as shown."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import stores
from benchmarks.file_index import index
from benchmarks.fork_server import ForkServer
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _block(guide: str, language: str, containing: str) -> str:
    text = (ROOT / "docs" / "guides" / guide).read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if containing in block]
    return str(block)


@pytest.fixture(scope="module")
def own_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(_block("own-study.md", "python", "class MyCollector"), encoding="utf-8")
    configs = folder / "configs" / "collect"
    configs.mkdir(parents=True)
    (configs / "mine.yaml").write_text(_block("own-study.md", "yaml", "class_path: mine.MyCollector"), encoding="utf-8")
    (folder / "mine_norms.py").write_text(_block("own-study.md", "python", "class MeanNorms"), encoding="utf-8")
    configs = folder / "configs" / "analyze"
    configs.mkdir()
    (configs / "mine_norms.yaml").write_text(
        _block("own-study.md", "yaml", "class_path: mine_norms.MeanNorms"), encoding="utf-8"
    )
    return folder


def test_a_study_of_ones_own_is_one_file_and_one_yaml(own_study: Path) -> None:
    command = [sys.executable, "-m", "lit_experiments.cli", "collect", "--exp", "mine", "--limit", "7"]
    done = subprocess.run(command, cwd=own_study, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_DONE, done.stderr
    store = stores.open_store(own_study / "runs" / "mine" / "store")
    assert len(store) == 7
    lengths = [len(ids) for ids in store.table(["input_ids"]).column(0).to_pylist()]
    assert store["resid"].lengths().tolist() == lengths


def test_its_analysis_is_one_file_and_one_yaml_too(own_study: Path, fork_server: Callable[[], ForkServer]) -> None:
    lines = sum(len(path.read_text().splitlines()) for path in own_study.glob("**/mine_norms.*"))
    assert lines < 120
    collect = ["collect", "--exp", "mine", "--limit", "7", "--run", "runs/mine"]
    fork_server().run(collect, own_study).check_returncode()
    analyze = ["analyze", "--exp", "mine_norms", "--run", "runs/mine"]
    done = fork_server().run(analyze, own_study)
    assert done.returncode == EXIT_DONE, done.stderr
    assert "mean norm" in done.stdout
    out = own_study / "runs" / "mine" / "mine_norms"
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names >= {"result.json", "RESULTS.md", "report.html", "data/norms.csv", "figures/norm_by_layer.svg"}
    store = stores.open_store(own_study / "runs" / "mine" / "store")
    means = [np.linalg.norm(row["resid"][:, 1:].astype(float), axis=-1).mean(-1) for row in store.iter_rows(["resid"])]
    written = json.loads((out / "result.json").read_text())
    assert written["layers"] == store.schema.coords["layer"]
    assert [norm["value"] for norm in written["norm"]] == pytest.approx(np.mean(means, 0).tolist())
    shown = fork_server().run([*analyze, "--help"], own_study).stdout
    assert "Tokens left out at the beginning of every text. (default: 1)" in " ".join(shown.split())
    assert "Resamples of the groups, for intervals that leaving out groups does not give. (default: 1000)" in " ".join(
        shown.split()
    )
    wrong = fork_server().run([*analyze, "--skip", "-1"], own_study)
    assert (wrong.returncode, wrong.stderr) == (EXIT_USER, "error: skip must be at least 0, found -1.\n")


def test_its_options_are_in_the_help(own_study: Path) -> None:
    command = [sys.executable, "-m", "lit_experiments.cli", "collect", "--exp", "mine", "--help"]
    done = subprocess.run(command, cwd=own_study, capture_output=True, text=True, check=True)
    assert "Where to read, e.g. resid_post.3. (default: ['resid_post.0', 'resid_post.1'])" in " ".join(
        done.stdout.split()
    )


def test_the_store_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "--exp", "tempnorm", "--limit", "24", "--accelerator", "cpu"]) == EXIT_DONE
    code = _block("stores.md", "python", "for row in store.iter_rows").replace(": ...", ": pass")
    names: dict[str, object] = {}
    exec(compile(code, "stores.md", "exec"), names)
    assert isinstance(names["store"], stores.Store)


def test_the_tree_names_what_is_there() -> None:
    tree = README.split("```\ncollect.py  train.py", 1)[1].split("```", 1)[0]
    for line in tree.splitlines()[1:]:
        name = line.strip().split(" ")[0]
        if name.endswith("/") and not name.startswith("runs"):
            places = [ROOT / name, ROOT / "configs" / name, ROOT / "lit_experiments" / name, ROOT / "stores" / name]
            assert any(p.is_dir() for p in places), name


def test_every_file_is_in_the_index_and_every_package_in_the_tree() -> None:
    assert (ROOT / "docs" / "files.md").read_text(encoding="utf-8") == index(ROOT), "python benchmarks/file_index.py"
    short = README.split("```\ncollect.py  train.py", 1)[1].split("```", 1)[0]
    packages = {path.name for path in (ROOT / "lit_experiments").iterdir() if (path / "__init__.py").exists()}
    packages |= {path.name for path in (ROOT / "lit_experiments" / "experiments").iterdir() if path.is_dir()}
    assert not {name for name in packages - {"__pycache__"} if f"{name}/" not in short}


def test_its_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)", README)
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_its_yaml_is_that_of_the_guide() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert block == _block("own-study.md", "yaml", "class_path: mine.MyCollector")
