"""Runs, probes and directions to the Hub and back, by the commands as users type them."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi
from safetensors.numpy import save_file

import lit_experiments as lit
import stores
from lit_experiments.cli import main
from lit_experiments.collecting.ended import NAME as ENDED
from lit_experiments.errors import UserError
from lit_experiments.probes.save import load_probe
from tests.experiments.linear_probes.written import HIDDEN as WIDTH
from tests.experiments.linear_probes.written import LAYERS, QUICK, random_texts, write_store
from tests.hub.conftest import HIDDEN, ROOT, ROWS, SITES, write_probe, write_rows, write_run
from tests.hub.server import READER

TO = "hf://user/run"


def says(capsys, *words):
    """(exit code, what was printed, what was complained of)."""
    code = main([*map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def sent(log):
    """Bytes of large files that were uploaded, and how many commits were made."""
    return sum(e[3] for e in log if e[0] == "PUT"), sum("/commit/" in e[1] for e in log)


def test_a_run_goes_and_comes_back_as_it_was(hub, tmp_path, capsys):
    run = write_run(tmp_path / "runs" / "one")
    (run / "store" / "parts" / "torn.tmp").write_bytes(b"half")
    code, out, _ = says(capsys, "push", run, TO, "--message", "first rows")
    assert code == 0
    assert "hf://datasets/user/run" in out
    code, out, _ = says(capsys, "pull", TO, "--out", "back")
    assert code == 0
    root = json.loads((run / "certificate.json").read_text())["root"]
    assert f"certificate {root}" in out
    same = {p.relative_to(run): p.read_bytes() for p in run.rglob("*") if p.is_file() and p.suffix != ".tmp"}
    del same[Path("store/.lock")]
    back = {p.relative_to("back"): p.read_bytes() for p in Path("back").rglob("*") if p.is_file()}
    assert back.pop(Path("README.md"))
    assert back == same
    assert main(["verify", "back", "--certificate", root]) == 0


def test_the_same_again_sends_nothing(hub, tmp_path, capsys):
    run = write_run(tmp_path / "one")
    assert says(capsys, "push", run, TO)[0] == 0
    assert sent(hub.log())[0] > 0
    code, out, _ = says(capsys, "push", run, TO)
    assert code == 0
    assert out.startswith("0 files of 0 B sent")
    assert sent(hub.log()) == (0, 0)
    (run / "notes.txt").write_text("one more")
    assert says(capsys, "push", run, TO)[1].startswith("1 files of 8 B sent")
    assert sent(hub.log()) == (0, 1)


def test_a_killed_push_goes_on_where_it_was(hub, tmp_path, capsys):
    """Killed while the fourth upload is on its way: what the first three brought is not sent again."""
    run = write_run(tmp_path / "one")
    for name in "abcdef":
        (run / f"{name}.bin").write_bytes(b"\0" + name.encode() * 1000)
    hub.ask("hold", 3)
    before = killed_amid(hub, ["push", run, TO])
    assert main(["pull", TO, "--out", "early"]) == 2
    assert "holds no" in capsys.readouterr().err  # nothing says yet that it is whole
    first = {e[1] for e in before if e[0] == "PUT"}
    assert len(first) == 3
    hub.ask("hold", 10**6)
    assert main(["push", str(run), TO]) == 0
    assert first.isdisjoint({e[1] for e in hub.log() if e[0] == "PUT"})
    assert main(["pull", TO, "--out", "back"]) == 0


def killed_amid(hub, words):
    """Kills a command when the stand-in sits on one of its requests; what it asked for before."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from lit_experiments.cli import main; main(sys.argv[1:])", *words],
        cwd=ROOT,
        env=hub.environment(),
        stdout=subprocess.DEVNULL,
    )
    before = []
    while not any(entry[0] == "HELD" for entry in before):
        assert process.poll() is None
        before += hub.log()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return before


@pytest.mark.parametrize("files", [3, 12])
def test_a_pull_that_is_killed_leaves_nothing_that_looks_whole_and_goes_on(hub, tmp_path, capsys, files):
    run, out = write_run(tmp_path / "one"), tmp_path / "runs" / "back"
    assert main(["push", str(run), TO]) == 0
    hub.log()
    hub.ask("hold_files", files)
    killed_amid(hub, ["pull", TO, "--out", out])
    assert not out.exists()
    code, _, err = says(capsys, "inspect", out)
    assert (code, "holds no store" in err) == (2, True)
    assert says(capsys, "report", tmp_path / "runs")[0] == 2  # lists no run
    assert not (tmp_path / "runs" / "index.html").exists()
    hub.ask("hold_files", 10**6)
    assert main(["pull", TO, "--out", str(out)]) == 0
    assert stores.verify(out / "store") == []
    assert [path.name for path in out.parent.iterdir()] == ["back"]
    left = {p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*") if p.is_file()}
    came = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert {name: came[name] for name in left if name in came} == {name: left[name] for name in left if name in came}
    assert stores.certify(stores.open_store(out / "store")) == stores.certify(stores.open_store(run / "store"))


def test_reading_a_few_rows_asks_for_their_chunks_alone(hub, tmp_path):
    run = write_run(tmp_path / "one")
    assert main(["push", str(run), TO]) == 0
    here = stores.open_store(run / "store")
    hub.log()
    there = stores.open_store("hf://datasets/user/run")
    assert not any("arrays" in entry[1] for entry in hub.log())
    np.testing.assert_array_equal(
        there["hidden_last"].read(rows=slice(0, 2), site=1), here["hidden_last"].read(rows=slice(0, 2), site=1)
    )
    log = hub.log()
    read = sum(entry[4] for entry in log if "arrays" in entry[1])
    assert {entry[0] for entry in log} == {"GET"}
    assert all(entry[2] == 206 for entry in log)
    whole = sum(file.size for segment in here.segments for file in segment.manifest.files.values())
    assert 0 < read < whole / (2 * SITES) + 200  # of one site in one of the two commits
    assert stores.certify(there).root == stores.certify(here).root
    assert stores.verify("hf://datasets/user/run/store") == []
    assert main(["certificate", "hf://user/run"]) == 0
    with pytest.raises(stores.NotWritable, match="can only be read"):
        stores.PartWriter("hf://datasets/user/run/store", 0, 1, 1.0)


def test_what_is_not_finished_or_being_written_is_not_pushed(hub, tmp_path, capsys):
    run = write_run(tmp_path / "one", ended=False)
    code, _, err = says(capsys, "push", run, TO)
    assert (code, "has not come to its end" in err, "Next: run its collect command" in err) == (2, True, True)
    other = write_run(tmp_path / "two")
    with stores.lock.exclusive(other / "store", 0):
        code, _, err = says(capsys, "push", other, TO)
    assert (code, "still being collected" in err) == (2, True)
    assert hub.log() == []


def test_another_store_is_never_mixed_in(hub, tmp_path, capsys):
    assert main(["push", str(write_run(tmp_path / "one")), TO]) == 0
    hub.log()
    code, _, err = says(capsys, "push", write_run(tmp_path / "two", first=1), TO)
    assert (code, "holds another store" in err) == (2, True)
    assert sent(hub.log()) == (0, 0)


def test_an_earlier_copy_of_a_run_does_not_go_over_a_later_one(hub, tmp_path, capsys):
    run = write_run(tmp_path / "one")
    shutil.copytree(run, tmp_path / "earlier")
    write_rows(run, range(ROWS, ROWS + 10))
    assert main(["push", str(run), TO]) == 0
    hub.log()
    code, _, err = says(capsys, "push", tmp_path / "earlier", TO)
    assert (code, "or more of it" in err) == (2, True)
    assert sent(hub.log()) == (0, 0)


def test_pull_changes_no_folder_with_other_content(hub, tmp_path, capsys):
    run = write_run(tmp_path / "one")
    assert main(["push", str(run), TO]) == 0
    assert main(["pull", TO, "--out", str(run)]) == 0  # it is all there
    (run / ENDED).write_text("{}")
    code, _, err = says(capsys, "pull", TO, "--out", run)
    assert (code, f"{ENDED} is another" in err, "--out" in err) == (2, True, True)
    assert (run / ENDED).read_text() == "{}"


def test_damage_on_the_way_or_there_is_noticed(hub, tmp_path, capsys):
    run = write_run(tmp_path / "one")
    assert main(["push", str(run), TO]) == 0
    data = next(p for p in run.rglob("*") if "arrays" in p.as_posix() and p.is_file() and p.stat().st_size > 1000)
    hub.ask("damage", ["datasets/user/run", data.relative_to(run).as_posix()])
    code, _, err = says(capsys, "pull", TO, "--out", "back")
    assert code == 1
    assert "did not come as they are there" in err or "not as it was written" in err
    assert not Path("back").exists()
    hub.ask("damage", ["datasets/user/run", data.relative_to(run).as_posix()])
    assert main(["pull", TO, "--out", "back"]) == 0


def test_an_interrupted_pull_goes_on(hub, tmp_path, capsys):
    run = write_run(tmp_path / "one")
    assert main(["push", str(run), TO]) == 0
    assert main(["pull", TO, "--out", "back"]) == 0
    draft = Path(".again.pull")
    shutil.copytree("back", draft)
    (draft / "store" / "store.json").unlink()
    (draft / "of an earlier commit").write_text("x")
    assert main(["pull", TO, "--out", "again"]) == 0
    assert not draft.exists()
    assert {p.name for p in Path("again").iterdir()} == {p.name for p in Path("back").iterdir()}


def test_what_a_killed_pull_left_is_no_run(hub, tmp_path, capsys):
    """Its store.json is there, and rows are missing: reports listed it, and prefill_dynamics read it as a reader."""
    run = write_run(tmp_path / "runs" / "one")
    draft = run.with_name(".two.pull")
    shutil.copytree(run, draft)
    assert stores.runs_in(run.parent) == [run]
    shutil.rmtree(run)
    code, _, err = says(capsys, "report", draft.parent)
    assert (code, "Next" in err) == (2, True)


def test_probes_and_directions_go_to_model_repositories(hub, tmp_path, capsys):
    probe = write_probe(tmp_path / "probe")
    assert main(["push", str(probe), "hf://user/probe", "--license", "mit"]) == 0
    assert main(["pull", "hf://user/probe", "--out", "back"]) == 0
    weights = load_probe(Path("back"), None).weights
    np.testing.assert_array_equal(weights, load_probe(probe, None).weights)
    card = Path("back/README.md").read_text()
    assert "license: mit" in card
    assert "Target: kind" in card
    assert "resid_post.1" in card
    directions = tmp_path / "directions"
    directions.mkdir()
    save_file({"self.direction": weights}, directions / "directions.safetensors", {"layers": '["resid_post.1"]'})
    assert main(["push", str(directions), "hf://user/directions"]) == 0
    assert main(["pull", "hf://models/user/directions"]) == 0
    assert f"`self.direction`: [1, {HIDDEN}]" in Path("runs/directions/README.md").read_text()
    code, _, err = says(capsys, "push", probe, "hf://datasets/user/probe")
    assert (code, "hf://models/user/probe" in err) == (2, True)


def test_branches_and_privacy(hub, tmp_path, capsys, monkeypatch):
    run = write_run(tmp_path / "one")
    assert main(["push", str(run), TO, "--private", "--revision", "draft"]) == 0
    assert says(capsys, "pull", TO)[0] == 2  # the main branch is empty
    assert main(["pull", f"{TO}@draft", "--out", "back"]) == 0
    assert len(stores.open_store("hf://datasets/user/run@draft")) == ROWS
    monkeypatch.delenv("HF_TOKEN")
    code, _, err = says(capsys, "pull", f"{TO}@draft")
    assert (code, "no such repository that anybody without a token may see" in err) == (2, True)
    monkeypatch.undo()


def test_a_public_repository_is_not_taken_for_a_private_one(hub, tmp_path, capsys):
    run = write_run(tmp_path / "one")
    assert main(["push", str(run), TO]) == 0
    code, _, err = says(capsys, "push", run, TO, "--private")
    assert (code, "is there and public" in err) == (2, True)


@pytest.mark.parametrize(
    ("token", "words", "message"),
    [
        (None, ["push", "one", TO], "without a token(.|\n)*hf auth login"),
        (READER, ["push", "one", TO], "refuses this(.|\n)*settings/tokens"),
        (READER, ["pull", "hf://user/nothing"], "no such repository(.|\n)*look at the name"),
        (READER, ["pull", "hf://nothing"], "names no repository(.|\n)*hf://OWNER/NAME"),
        (READER, ["pull", "s3://a/b"], "names no repository(.|\n)*hf://OWNER/NAME"),
        (READER, ["pull", "hf://user/run@a", "--revision", "b"], "another one"),
        (READER, ["push", "nothing", TO], "is no run(.|\n)*Next"),
        (READER, ["score", "hf://user/p", "--texts", "t.csv", "--out", "o.csv"], "lit-experiments pull hf://user/p"),
        (
            READER,
            ["score", "s3://b/run/p", "--texts", "t.csv", "--out", "o.csv"],
            "^error: s3://b/run/p(.|\n)*runs/s3/b/run/p",
        ),
        (READER, ["inspect", "hf://user/nothing"], "no such repository(.|\n)*Next"),
        (READER, ["collect", "--exp", "tempnorm", "--run", TO], "can only be read(.|\n)*push RUN"),
    ],
)
def test_each_mistake_is_one_message(hub, tmp_path, capsys, monkeypatch, token, words, message):
    write_run(tmp_path / "one")
    monkeypatch.delenv("HF_TOKEN")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    code, _, err = says(capsys, *words)
    assert code == 2
    assert re.search(message, err), err


def test_a_hub_that_cannot_be_reached_is_one_message(hub, tmp_path, capsys, monkeypatch):
    from huggingface_hub import constants

    run = write_run(tmp_path / "one")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for words in (["push", run, TO], ["pull", TO], ["inspect", TO]):
        code, _, err = says(capsys, *words)
        assert code == 2
        assert "can't be reached" in err
        assert "Next: look at the connection" in err


def test_a_run_that_has_grown_is_pushed_further(hub, tmp_path):
    """Only what is new goes; what was there before is still in the history."""
    run = write_run(tmp_path / "one")
    assert main(["push", str(run), TO]) == 0
    before = HfApi(endpoint=hub.endpoint).repo_info("user/run", repo_type="dataset").sha
    first = {entry[1] for entry in hub.log() if entry[0] == "PUT"}
    write_rows(run, range(ROWS, ROWS + 10))
    assert main(["push", str(run), TO]) == 0
    again = {entry[1] for entry in hub.log() if entry[0] == "PUT"}
    assert again
    assert first.isdisjoint(again)
    assert len(stores.open_store("hf://user/run")) == ROWS + 10
    assert len(stores.open_store(f"hf://user/run@{before}")) == ROWS
    assert main(["pull", TO, "--out", "back"]) == 0
    assert stores.certify(stores.open_store("back/store")).root == stores.certify(stores.open_store(run / "store")).root


def test_the_same_from_python(hub, tmp_path, capsys):
    store = stores.open_store(write_run(tmp_path / "one") / "store")
    lit.push(store, TO, dry_run=True, license="mit")
    assert hub.log() == []
    lit.push(store, TO, private=True, revision="draft", message="a first try")
    folder = lit.pull(TO, revision="draft")
    assert folder == Path("runs/run")
    assert lit.open_store(folder / "store").sample_ids == store.sample_ids
    with pytest.raises(UserError, match="no repository"):
        lit.push(store, "hf://nothing")


def test_a_run_on_the_hub_is_trained_on_where_it_lies(hub, capsys):
    """Its small files and results lie in a working copy; the store stays there, and nothing is sent."""
    rng = np.random.default_rng(0)
    kinds = [("a", "b")[n % 2] for n in range(80)]
    states = rng.standard_normal((len(LAYERS), 80, WIDTH)).astype(np.float32)
    columns = {"text": random_texts(rng, 80), "kind": kinds}
    write_store(Path("one"), states, columns, {"text": "string", "kind": "string"})
    assert main(["push", "one", TO]) == 0
    hub.log()
    quick = [word for name, value in QUICK.items() for word in (f"--{name}", str(value))]
    train = ["train", "--exp", "linear_probes", "--target", "kind", "--accelerator", "cpu", *quick]
    assert main([*train, "--run", TO]) == 0
    assert Path("runs/hf/user/run/linear_probes/result.json").is_file()
    assert Path("runs/hf/user/run/store").is_file()
    assert sent(hub.log()) == (0, 0)
    shutil.move("runs/hf/user/run/linear_probes", "one/linear_probes")
    code, out, _ = says(capsys, *train, "--run", "one")
    assert "one/linear_probes is up to date" in out
    assert out.rstrip().endswith(
        "Report:  one/linear_probes/report.html"
    )  # it once named the folder that it was made in
    code, _, err = says(capsys, "push", "runs/hf/user/run", TO)
    assert (code, "its store lies at hf://datasets/user/run/store" in err) == (2, True)
    code, _, err = says(capsys, "train", "--exp", "linear_probes", "--run", "hf://models/user/run")
    assert (code, "hf://datasets/user/run" in err) == (2, True)
