"""Extending a run, disturbed: killed, on two devices, on object storage; it ends like one made in one go."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

import stores
from benchmarks.halting import halted_at
from benchmarks.object_server import BUCKET, ObjectServer, environment
from lit_experiments.collecting.watched import look
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED, EXIT_USER
from tests.collecting.conftest import Launcher, assert_same, content
from tests.toys import random_llama

ROWS = 60
FEW = ("--sites", "[resid_post.0]", "--positions", "[last]")
MORE = ("--sites", "resid_post.*", "--positions", "[last, mean, response]")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of a collection of states with responses, which commits all the time."""
    folder = tmp_path_factory.mktemp("texts")
    random_llama(folder / "model", seed=1)
    records = [{"text": "x" * (1 + index % 7) + str(index)} for index in range(ROWS)]
    (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, records)))
    return [
        *("collect", "--exp", "activations", "--model", str(folder / "model"), "--accelerator", "cpu"),
        *("--texts", str(folder / "texts.jsonl"), "--generate", "3", "--temperature", "1"),
        *("--batch_size", "2", "--flush_seconds", "0.001"),
    ]


@pytest.fixture(scope="module")
def once(launcher: Launcher, texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run made in one go."""
    run = tmp_path_factory.mktemp("once") / "run"
    assert launcher.run([*texts, *MORE, "--run", str(run)]) == EXIT_DONE
    return run


def rows_in_pieces(run: Path | str) -> dict[int, set[str]]:
    """Which rows each piece has; each once."""
    ids = {}
    for number, piece in stores.open_store(f"{run}/store").in_pieces().items():
        assert piece.repeated_ids == []
        ids[number] = set(piece.sample_ids)
    return ids


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
@pytest.mark.parametrize("devices", [1, 2])
def test_an_extension_that_is_killed_again_and_again_is_completed(
    launcher: Launcher, texts: list[str], once: Path, tmp_path: Path, backend: str, devices: int
) -> None:
    run = tmp_path / "run"
    argv = [*texts, "--run", str(run), "--backend", backend]
    assert launcher.run([*argv, *FEW]) == EXIT_DONE
    before = rows_in_pieces(run)
    argv += [*MORE, "--devices", str(devices)]
    for attempt in range(4):
        if attempt == 0:  # as soon as the extension is recorded
            recorded = run / "store" / "extensions" / "00001.json"
            pid = launcher.start(argv, halted_at(recorded, tmp_path / "go on"))
            while not recorded.exists():
                time.sleep(0.001)
            os.kill(pid, signal.SIGKILL)
            (tmp_path / "go on").touch()  # for its workers
            assert launcher.wait() == -signal.SIGKILL
        elif attempt % 2:
            assert launcher.interrupt_commit(argv, signal.SIGKILL, run) in (-signal.SIGKILL, EXIT_DONE)
        else:
            assert launcher.interrupt(argv, signal.SIGTERM, 1.0) in (-signal.SIGTERM, EXIT_STOPPED, EXIT_DONE)
        now = rows_in_pieces(run)
        assert now[0] == before[0]
        assert before.get(1, set()) <= now[1], "a committed row is gone"
        before = now
    assert launcher.run([*argv[: -len(MORE) - 2], *FEW]) == EXIT_DONE  # what was begun is completed
    assert_same(content(run), content(once))
    assert stores.verify(run / "store") == []
    assert look(str(run)).rows == ROWS
    assert (run / "config-1.yaml").is_file()


def test_a_run_on_object_storage_is_extended(
    launcher: Launcher, texts: list[str], once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"s3://{BUCKET}/extended"
    with ObjectServer() as server:
        variables = environment(server.port)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        argv = [*texts, "--run", url]
        for options in (FEW, MORE):
            assert launcher.server.start([*argv, *options], tmp_path, variables).wait() == EXIT_DONE
        assert_same(content(url), content(once))
        assert stores.verify(f"{url}/store") == []


def test_a_store_that_another_collection_holds_is_not_extended(
    launcher: Launcher, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    assert launcher.run([*texts, *FEW, "--run", str(run)]) == EXIT_DONE
    with stores.lock.exclusive(run / "store", 1.0):
        assert launcher.run([*texts, *MORE, "--run", str(run)]) == EXIT_USER
    assert stores.open_store(run / "store").extended is None
