"""A run whose folder is a URL: killed, started twice, put to sleep beyond its lease; it ends like one on a disk."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import stores
from benchmarks.forked_workers import ForkedProcess
from benchmarks.free_port import free_port
from benchmarks.object_server import BUCKET, ObjectServer, environment
from lit_experiments.collecting.watched import look
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED, EXIT_USER
from stores import lock
from tests.collecting.conftest import SAMPLES, Launcher, assert_same, content
from tests.collecting.test_launchers import launched

_FIT = ("--bootstraps", "2", "--shuffles", "0", "--folds", "2", "--penalties", "[1.0]")
_LEASE = ("--lease_seconds", "2")


@pytest.fixture(scope="module")
def env() -> Iterator[dict[str, str]]:
    """What a command needs to reach the server; set for this process too."""
    with ObjectServer() as server, pytest.MonkeyPatch.context() as patch:
        variables = environment(server.port)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield variables


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return f"s3://{BUCKET}/{request.node.name}"


class Commands:
    """Commands in a folder, which share nothing but the server with those of other folders."""

    def __init__(self, launcher: Launcher, folder: Path, env: dict[str, str]) -> None:
        self.launcher, self.folder, self.env = launcher, folder, env
        folder.mkdir(exist_ok=True)

    def start(self, argv: list[str], env: Mapping[str, str] | None = None) -> ForkedProcess:
        return self.launcher.server.start(argv, self.folder, {**self.env, **(env or {})})

    def run(self, argv: list[str]) -> int:
        return self.start(argv).wait()

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()


@pytest.fixture
def commands(launcher: Launcher, tmp_path: Path, env: dict[str, str]) -> Commands:
    return Commands(launcher, tmp_path / "here", env)


def _committed(url: str) -> list[str]:
    return stores.open_store(f"{url}/store").sample_ids if stores.is_store(f"{url}/store") else []


def _await_commit(url: str) -> None:
    while not _committed(url):
        time.sleep(0.01)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_run_killed_again_and_again_ends_like_one_on_a_disk(
    commands: Commands, toy: list[str], undisturbed: tuple[Path, float], url: str, devices: int
) -> None:
    argv = [*toy, *_LEASE, "--run", url, "--devices", str(devices)]
    reference, duration = undisturbed
    before: list[str] = []
    for _ in range(3):
        process = commands.start(argv)
        if before:
            time.sleep(commands.launcher.luck.uniform(0, 3 + duration))  # the lease of the killed one has to end first
        else:
            _await_commit(url)
        process.send_signal(signal.SIGKILL)
        assert process.wait() in (-signal.SIGKILL, EXIT_DONE)
        now = _committed(url)
        assert set(before) <= set(now), "a committed row is gone"
        assert len(now) == len(set(now)), "a row came twice"
        before = now
    assert len(before) == SAMPLES or look(url).state != "complete"
    assert commands.run(argv) == EXIT_DONE, commands.log
    assert look(url).state == "complete"
    assert_same(content(url), content(reference))
    assert stores.verify(f"{url}/store") == []
    assert commands.run(argv) == EXIT_DONE  # with nothing left to do
    assert len(_committed(url)) == SAMPLES


def test_a_second_collector_is_refused_with_the_holder_and_goes_on_when_it_is_gone(
    commands: Commands, toy: list[str], undisturbed: tuple[Path, float], url: str
) -> None:
    argv = [*toy, "--run", url]
    assert commands.run([*argv, "--limit", "4"]) == EXIT_DONE
    assert look(url).state == "complete"
    with lock.exclusive(f"{url}/store", 0, lock.Terms(3.0)):
        seen = look(url)
        assert (seen.state, seen.holder["pid"], seen.rows) == ("collecting", os.getpid(), 4)
        assert commands.run(argv) == EXIT_USER
    assert f"is being written by process {os.getpid()} on" in commands.log
    assert "its lease ends in" in commands.log
    assert commands.run(argv) == EXIT_DONE
    assert_same(content(url), content(undisturbed[0]))


def test_two_collectors_at_once_end_with_one_row_for_each_sample(
    commands: Commands, toy: list[str], tmp_path: Path, undisturbed: tuple[Path, float], url: str
) -> None:
    second = Commands(commands.launcher, tmp_path / "elsewhere", commands.env)
    both = [place.start([*toy, "--run", url]) for place in (commands, second)]
    assert [process.wait() for process in both] == [EXIT_DONE, EXIT_DONE], commands.log + second.log
    assert_same(content(url), content(undisturbed[0]))
    assert len({segment.part for segment in stores.open_store(f"{url}/store").segments}) == 1


def test_processes_of_two_machines_write_one_run(
    commands: Commands, toy: list[str], tmp_path: Path, undisturbed: tuple[Path, float], url: str
) -> None:
    """Started by torchrun, in folders that share nothing."""
    port = free_port()
    places = [Commands(commands.launcher, tmp_path / f"machine-{rank}", commands.env) for rank in (0, 1)]
    argv = [*toy, "--run", url, "--devices", "2"]
    both = [place.start(argv, launched("torchrun", rank, port)) for rank, place in enumerate(places)]
    assert [process.wait() for process in both] == [EXIT_DONE, EXIT_DONE], places[0].log + places[1].log
    assert_same(content(url), content(undisturbed[0]))
    launches = {segment.part.rpartition("-r") for segment in stores.open_store(f"{url}/store").segments}
    assert sorted(rank for _, _, rank in launches) == ["000", "001"]
    assert len({launch for launch, _, _ in launches}) == 1, "so a later launch can close what all of them wrote"


def test_a_collector_that_wakes_up_after_its_lease_can_commit_nothing(
    commands: Commands, toy: list[str], tmp_path: Path, undisturbed: tuple[Path, float], url: str
) -> None:
    argv = [*toy, *_LEASE, "--run", url]
    second = Commands(commands.launcher, tmp_path / "elsewhere", commands.env)
    first = commands.start(argv)
    _await_commit(url)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        assert second.run(argv) == EXIT_DONE
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert first.wait() == EXIT_FAILED
    assert "another collection took this run over" in commands.log
    assert "Traceback" not in commands.log
    assert_same(content(url), content(undisturbed[0]))
    assert stores.verify(f"{url}/store") == []


def test_training_and_certificate_go_straight_from_the_url(
    commands: Commands, toy: list[str], tmp_path: Path, undisturbed: tuple[Path, float], url: str
) -> None:
    train = ["train", "--exp", "tempnorm_ridge", "--run", url, *_FIT]
    second = Commands(commands.launcher, tmp_path / "elsewhere", commands.env)
    assert commands.run([*toy, "--run", url]) == EXIT_DONE
    assert commands.run(train) == EXIT_DONE, commands.log
    assert second.run(train) == EXIT_DONE
    assert "is up to date" in second.log
    assert second.run(["certificate", url]) == EXIT_DONE
    assert content(undisturbed[0])["certificate"] in second.log
    assert not list(tmp_path.rglob("s3:*")), "a URL became a folder"


def test_a_restart_sets_the_old_store_aside(commands: Commands, toy: list[str], url: str) -> None:
    assert commands.run([*toy, "--run", url, "--limit", "3"]) == EXIT_DONE
    assert commands.run([*toy, "--run", url, "--limit", "2", "--restart"]) == EXIT_DONE
    assert len(_committed(url)) == 2
    assert len(stores.open_store(f"{url}/store.old-1")) == 3
    assert stores.verify(f"{url}/store.old-1") == []
