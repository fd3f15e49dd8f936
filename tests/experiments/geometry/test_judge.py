"""The judge: both orders count, failures are waited out or said, known replies cost nothing, the key is never shown."""

from __future__ import annotations

import copy
import logging
import pickle
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lit_experiments.errors import UserError
from lit_experiments.experiments.geometry.judge import (
    DIFFERENT,
    SAME,
    UNDECIDED,
    Opinion,
    Pair,
    chat_judge,
    check_prompt,
    compare,
    compare_all,
    parse_verdict,
)
from lit_experiments.experiments.geometry.judge_cache import ReplyCache
from lit_experiments.experiments.geometry.judge_endpoint import Endpoint, EndpointSettings, JudgeUnavailableError
from lit_experiments.experiments.geometry.judge_secret import Secret, find_key
from tests.experiments.geometry.chat_server import (
    Chat,
    Reply,
    drips,
    echoes_the_header,
    fails,
    fails_inside,
    hangs_up,
    repeats_the_header,
    says,
    sends,
    serving,
    stalls,
)

KEY = "sk-test-9f3a77"
VARIABLE = "JUDGE_TEST_KEY"
PROMPT = "Problem: {question}\nFirst: {first}\nSecond: {second}"
SETTINGS = EndpointSettings("tiny/judge", "", VARIABLE, tokens=50, timeout=60, retries=3, backoff=0.002, minutes=0.5)
GOOD = says("One splits, the other counts.\nVERDICT: DIFFERENT")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.chdir(tmp_path)


def endpoint(chat: Chat, folder: Path, **changed: float) -> Endpoint:
    return Endpoint(replace(SETTINGS, base_url=chat.url, **changed), ReplyCache(folder / "judge"))


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("because.\nVERDICT: SAME", SAME),
        ("**Verdict:** Different.", DIFFERENT),
        ("VERDICT: SAME? No. VERDICT: DIFFERENT", DIFFERENT),
        ("they are the same", UNDECIDED),
        ("VERDICT: SAMENESS", UNDECIDED),
        ("", UNDECIDED),
    ],
)
def test_a_verdict_is_read_where_it_is_stated(reply: str, verdict: str) -> None:
    assert parse_verdict(reply) == verdict


def test_orders_that_disagree_leave_it_undecided_and_both_are_kept() -> None:
    first_wins = lambda question, first, second: Opinion(SAME if first == "a" else DIFFERENT, first)  # noqa: E731
    comparison = compare(first_wins, Pair("q", "a", "b"))
    assert (comparison.verdict, comparison.agree) == (UNDECIDED, False)
    assert [o.verdict for o in comparison.opinions] == [SAME, DIFFERENT]
    undecided = compare(lambda *_: Opinion(UNDECIDED, ""), Pair("q", "a", "b"))
    assert (undecided.verdict, undecided.agree) == (UNDECIDED, False)


def test_equal_texts_are_not_asked_about() -> None:
    def never(*_: str) -> Opinion:
        raise AssertionError("asked")

    assert compare(never, Pair("q", "a ", "a")).verdict == SAME


@pytest.mark.parametrize(
    "template", ["{question} {first}", "{question} {first} {second} {third}", "{question} { {first}"]
)
def test_a_prompt_that_cannot_be_filled_is_refused(template: str) -> None:
    with pytest.raises(UserError, match="judge_prompt"):
        check_prompt(template)
    check_prompt("{{braces}} {question} {first} {second}")


def test_both_orders_are_asked_at_temperature_zero_and_a_second_run_asks_nothing(tmp_path: Path) -> None:
    pair = Pair("How many {apples}?", "Split \\boxed{4}", "Count \\boxed{4}")
    with serving(GOOD) as chat:
        one = endpoint(chat, tmp_path)
        comparison = compare(chat_judge(one.ask, PROMPT), pair)
        assert (comparison.verdict, comparison.agree, one.requests) == (DIFFERENT, True, 2)
        assert comparison.opinions[0].reasons.startswith("One splits")
        again = endpoint(chat, tmp_path)
        assert compare(chat_judge(again.ask, PROMPT), pair) == comparison
        assert (again.requests, again.cache.hits, len(chat.bodies)) == (0, 2, 2)
        other = endpoint(chat, tmp_path, tokens=51)
        compare(chat_judge(other.ask, PROMPT), pair)
        assert other.requests == 2
    shown = [prompt[: prompt.index("\n\n")] for prompt in chat.prompts[:2]]
    question = "Problem: How many {apples}?\n"
    assert shown[0] == f"{question}First: {pair.first}\nSecond: {pair.second}"
    assert shown[1] == f"{question}First: {pair.second}\nSecond: {pair.first}"
    for body, headers in zip(chat.bodies, chat.headers, strict=True):
        assert (body["temperature"], body["model"], body["path"]) == (0, "tiny/judge", "/v1/chat/completions")
        assert headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "trouble",
    [
        fails(429, Retry_After="0.01"),
        fails(503),
        fails(500),
        fails_inside(502),
        hangs_up,
        sends(b"<html>busy</html>"),
        sends(b"[]"),
        sends(b'{"choices": []}'),
    ],
    ids=["429", "503", "500", "error in a 200", "hang up", "html", "list", "no choice"],
)
def test_what_may_pass_is_tried_again(tmp_path: Path, trouble: object) -> None:
    with serving(trouble, GOOD) as chat:  # type: ignore[arg-type]
        one = endpoint(chat, tmp_path)
        assert parse_verdict(one.ask("?")) == DIFFERENT
        assert one.requests == 2


@pytest.mark.parametrize("endless", [stalls, drips])
def test_a_reply_without_end_is_given_up_and_asked_for_again(tmp_path: Path, endless: Reply) -> None:
    with serving(endless, GOOD) as chat:
        # A busy machine may make the good reply late too: more attempts than are needed.
        one = endpoint(chat, tmp_path, timeout=0.5, retries=20)
        assert parse_verdict(one.ask("?")) == DIFFERENT
        assert one.requests >= 2


def test_what_does_not_pass_ends_in_one_message_and_nothing_is_cached(tmp_path: Path) -> None:
    with serving(fails(503, "overloaded")) as chat:
        one = endpoint(chat, tmp_path)
        with pytest.raises(JudgeUnavailableError, match="failed 4 times, at last with: HTTP 503: overloaded"):
            one.ask("?")
        assert one.requests == 4
    assert not (tmp_path / "judge").exists()


def test_a_closed_port_is_unavailable(tmp_path: Path) -> None:
    with socket.socket() as silent:  # holds the port, so that nobody else begins to answer there
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(JudgeUnavailableError, match="ConnectError"):
            Endpoint(replace(SETTINGS, base_url=url), ReplyCache(tmp_path / "judge")).ask("?")


@pytest.mark.parametrize(
    ("status", "advice"), [(401, VARIABLE), (402, "credit"), (404, "tiny/judge"), (400, "judge_model")]
)
def test_a_refusal_is_the_users_mistake_at_once(tmp_path: Path, status: int, advice: str) -> None:
    with serving(fails(status, "not you")) as chat:
        one = endpoint(chat, tmp_path)
        with pytest.raises(UserError, match=f"HTTP {status}: not you") as caught:
            one.ask("?")
        assert advice in str(caught.value)
        assert one.requests == 1


def test_pauses_grow_part_and_repeat(tmp_path: Path) -> None:
    with serving(GOOD) as chat:
        one = endpoint(chat, tmp_path, backoff=1.0)
        pauses = [one._pause({"a": 1}, attempt) for attempt in range(8)]
        for attempt, pause in enumerate(pauses):
            assert min(2**attempt, 60) / 2 <= pause <= min(2**attempt, 60)
        assert pauses == [one._pause({"a": 1}, attempt) for attempt in range(8)]
        assert one._pause({"a": 2}, 0) != pauses[0]


def test_the_endpoints_own_wish_to_wait_counts_and_may_be_too_long(tmp_path: Path) -> None:
    with serving(fails(429, "slow down", Retry_After="0.2"), GOOD) as chat:
        begun = time.monotonic()
        endpoint(chat, tmp_path).ask("?")
        assert time.monotonic() - begun >= 0.2
    for wish in ("3600", "Fri, 31 Dec 2100 23:59:59 GMT"):
        with serving(fails(429, "slow down", Retry_After=wish)) as chat:
            one = endpoint(chat, tmp_path)
            with pytest.raises(
                JudgeUnavailableError, match=r"0.5 minutes are over.*slow down \(next attempt in \d{4,}"
            ):
                one.ask("other")


def test_the_limit_of_all_time_ends_it(tmp_path: Path) -> None:
    with serving(drips) as chat:
        one = endpoint(chat, tmp_path, minutes=0.3 / 60, timeout=10_000)
        with pytest.raises(JudgeUnavailableError, match="are over"):
            one.ask("?")


def test_babble_is_asked_once_more_and_then_undecided(tmp_path: Path) -> None:
    with serving(says("Well..."), GOOD) as chat:
        one = endpoint(chat, tmp_path)
        assert chat_judge(one.ask, PROMPT)("q", "a", "b").verdict == DIFFERENT
        assert one.requests == 2
        assert chat.prompts[1].startswith(chat.prompts[0])
    with serving(says(None)) as chat:
        one = endpoint(chat, tmp_path / "other")
        assert chat_judge(one.ask, PROMPT)("q", "a", "b") == Opinion(UNDECIDED, "")
        assert one.requests == 2


def test_many_pairs_keep_their_order_and_one_failure_ends_all(tmp_path: Path) -> None:
    pairs = [Pair("q", f"a{i}", f"b{i}") for i in range(6)]
    with serving(GOOD) as chat:
        one = endpoint(chat, tmp_path)
        comparisons = compare_all(chat_judge(one.ask, PROMPT), pairs, 3, one.stop)
        assert [c.verdict for c in comparisons] == [DIFFERENT] * 6
        assert one.requests == 12
    with serving(fails(401)) as chat:
        one = endpoint(chat, tmp_path / "other")
        with pytest.raises(UserError):
            compare_all(chat_judge(one.ask, PROMPT), pairs, 2, one.stop)
        assert one.stop.is_set()
        assert one.requests < 6


def test_a_stopped_judge_does_not_wait(tmp_path: Path) -> None:
    with serving(fails(503, Retry_After="3000")) as chat:
        one = endpoint(chat, tmp_path, minutes=1000)
        threading.Timer(0.1, one.stop.set).start()
        with pytest.raises(JudgeUnavailableError, match="told to stop"):
            one.ask("?")


@pytest.mark.parametrize("damage", [b"", b"{", b'{"reply": "VERDICT: SAME"}'])
def test_a_damaged_reply_on_disk_is_asked_for_again(tmp_path: Path, damage: bytes) -> None:
    with serving(GOOD) as chat:
        endpoint(chat, tmp_path).ask("?")
        [file] = (tmp_path / "judge").iterdir()
        file.write_bytes(damage)
        one = endpoint(chat, tmp_path)
        assert parse_verdict(one.ask("?")) == DIFFERENT
        assert one.requests == 1
        assert parse_verdict(endpoint(chat, tmp_path).ask("?")) == DIFFERENT
        assert len(chat.bodies) == 2


def test_the_key_is_found_in_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    assert find_key(VARIABLE) is None
    (tmp_path / ".env").write_text(f"{VARIABLE}='{KEY}'\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    secret = find_key(VARIABLE)
    assert secret is not None
    assert secret.reveal() == KEY


def test_without_a_key_only_this_machine_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    with serving(GOOD) as chat:
        endpoint(chat, tmp_path).ask("?")
        assert "Authorization" not in chat.headers[0]
    with pytest.raises(UserError, match=f"{VARIABLE} is neither in the environment nor in a .env file"):
        endpoint(Chat(url="https://openrouter.ai/api/v1"), tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "openrouter.ai/api/v1",
        "ftp://host/v1",
        "https://",
        "https://user:word@host/v1",
        "https://h/v1?key=1",
        "http://h:x/",
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match="base_url") as caught:
        endpoint(Chat(url=url), tmp_path)
    assert "word" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize("value", ["a b c d", "key\nline", "kéy-123", "abc"])
def test_what_cannot_be_a_key_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(UserError, match="is no key") as caught:
        find_key(VARIABLE)
    assert value not in str(caught.value)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_the_key_is_in_no_file_log_error_or_repr(
    tmp_path: Path, everything_logged: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    revealed: list[str] = []
    for i, trouble in enumerate(
        (echoes_the_header, hangs_up, fails(401, f"{KEY} is wrong"), sends(KEY.encode()), stalls)
    ):
        with serving(trouble) as chat:
            one = endpoint(chat, tmp_path / str(i), retries=1, timeout=0.5)
            try:
                one.ask("?")
            except (UserError, JudgeUnavailableError) as error:
                shown = traceback.TracebackException.from_exception(error, capture_locals=True)
                shown.stack.pop(0)  # this test, which knows the key
                assert "judge_endpoint.py" in shown.stack[0].filename
                revealed += [str(error), repr(error), "".join(shown.format()), repr(one), repr(vars(one))]
    assert len(revealed) == 5 * 5
    with serving(repeats_the_header) as chat:
        one = endpoint(chat, tmp_path)
        revealed += [one.ask("?"), repr(one._client), repr(one._client.headers)]
    revealed += [everything_logged.text, *capfd.readouterr()]
    revealed += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert "httpcore" in everything_logged.text
    assert "[key]" in revealed[-1]
    for text in revealed:
        assert KEY not in text


def test_a_key_is_neither_shown_nor_pickled() -> None:
    secret = Secret(KEY)
    assert KEY not in f"{secret} {secret!r} {[getattr(secret, n) for n in dir(secret) if n != 'reveal']}"
    for dangerous in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="not pickled"):
            dangerous(secret)
