"""A resumed run goes on only from the tokens that its rows were computed from."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from lit_experiments.cli.main import main
from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.inputs import input_digest, payload_ids
from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.run import RunSettings, collect
from lit_experiments.errors import EXIT_DONE, EXIT_USER, UserError
from lit_experiments.lm.spec import ModelSpec
from stores import Column, FingerprintError, Records, Schema
from tests.collecting.conftest import content
from tests.toys import random_llama


class Texts(Collector):
    """Writes down the ids that it was given."""

    def __init__(self, spec: ModelSpec, texts: Sequence[Sequence[int]]) -> None:
        super().__init__(spec)
        self.texts, self.collected = texts, 0

    def samples(self) -> Sequence[Sample]:
        return [Sample(f"text-{i}", i, len(t), {"ids": list(t), "kind": i}) for i, t in enumerate(self.texts)]

    def schema(self) -> Schema:
        return Schema((), (Column("n", "int64", "tokens"),), {})

    def settings(self) -> dict[str, Any]:
        return {}

    def collect(self, batch: Sequence[Sample]) -> Records:
        self.collected += len(batch)
        return Records([{"sample_id": s.sample_id, "sample_index": s.index, "n": s.tokens} for s in batch], {})


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return ModelSpec(str(random_llama(tmp_path_factory.mktemp("model"), seed=1)), None, None, "float32", "auto")


def settings(run: Path, limit: int | None = None) -> RunSettings:
    trainer = {"devices": 1, "accelerator": "cpu"}
    return RunSettings(run, "zarr", 10_000, 2, 10**6, 5.0, limit, trainer)


def test_rows_from_other_tokens_are_refused_before_anything_runs(spec: ModelSpec, tmp_path: Path) -> None:
    texts = [[5, 6], [7, 8, 9], [3], [4, 4]]
    assert collect(Texts(spec, texts), settings(tmp_path, limit=3)) == 3
    before = content(tmp_path)
    changed = Texts(spec, [[5, 6], [7, 8, 1], [2], [4, 4]])
    with pytest.raises(UserError, match=r"2 of 3 committed rows(.|\n)*the first is text-1(.|\n)*--restart"):
        collect(changed, settings(tmp_path))
    assert changed.collected == 0
    assert content(tmp_path) == before
    grown = Texts(spec, texts)
    assert collect(grown, settings(tmp_path)) == 4
    assert grown.collected == 1


def test_a_tokenizer_on_the_hub_s_other_side_of_the_fingerprint_is_noticed(spec: ModelSpec, tmp_path: Path) -> None:
    """Whatever changes the ids, the fingerprint need not know of it: here, the same files give other ids."""
    first = Texts(spec, [])
    first.texts = [first.info.tokens.encode(text) for text in ("one", "two")]
    collect(first, settings(tmp_path))
    second = Texts(spec, [])
    tokens = replace(second.info.tokens, bos_policy="added", prefix=(3, 3))
    second.texts = [tokens.encode(text) for text in ("one", "two")]
    assert second.fingerprint() == first.fingerprint()
    with pytest.raises(UserError, match="2 of 2 committed rows"):
        collect(second, settings(tmp_path))


@dataclass
class Question:
    name: str
    ids: list[int]


@dataclass
class Task:
    question: Question
    ids: tuple[int, ...]


@pytest.mark.parametrize(
    ("payload", "ids"),
    [
        ([1, 2], [1, 2]),
        ({"ids": [1], "text": "x"}, [[1]]),
        (Question("x", [1, 2]), [[1, 2]]),
        (Task(Question("x", [1]), (2, 3)), [[1], [2, 3]]),
        ({"task": Task(Question("x", [1]), (2,)), "ids": np.array([7, 8])}, [[1], [2], [7, 8]]),
        ("a text", "a text"),
        (None, None),
        ({"text": "x", "seed": 3}, {"text": "x", "seed": 3}),
    ],
)
def test_the_token_ids_are_found_in_every_kind_of_payload(payload: Any, ids: Any) -> None:
    assert payload_ids(payload) == ids
    assert len(input_digest(payload_ids(payload))) == 16


def test_digests_tell_token_boundaries_apart() -> None:
    assert len({input_digest(v) for v in ([1, 23], [12, 3], [123], [[1], [23]], [1, 23, 0], "1,23")}) == 6
    with pytest.raises(FingerprintError):
        input_digest(payload_ids(Path("x")))


CLOCK = "{{ bos_token }}It is {{ strftime_now('%H:%M:%S') }}.\n{% for m in messages %}{{ m['content'] }}{% endfor %}"


@pytest.fixture
def asking(tmp_path: Path) -> list[str]:
    """A small study 3 whose chat template tells the time."""
    model = random_llama(tmp_path / "model", seed=1, window=1024)
    (model / "chat_template.jinja").write_text(CLOCK)
    return [
        *("collect", "--exp", "introspection", "--model", str(model), "--accelerator", "cpu", "--batch_size", "4"),
        *("--chat_template", "true", "--num_questions", "8", "--positions", "answer", "--run", str(tmp_path / "run")),
    ]


def prompts(run: Path) -> list[str]:
    return stores.open_store(run / "store").table(["prompt_text"]).to_pydict()["prompt_text"]


def test_a_template_that_tells_the_time_tells_that_of_the_first_start(asking: list[str], tmp_path: Path) -> None:
    """Rows of one store whose prompts told different times."""
    assert main([*asking, "--limit", "5"]) == EXIT_DONE
    time.sleep(1.1)
    assert main(asking) == EXIT_DONE
    run = tmp_path / "run"
    (dated,) = {prompt.split("\n")[0] for prompt in prompts(run)}
    assert len(prompts(run)) == 24
    started = stores.open_store(run / "store").provenance["started"]
    assert dated.endswith(f"It is {started[11:]}.")
    assert main([*asking, "--restart"]) == EXIT_DONE
    (again,) = {prompt.split("\n")[0] for prompt in prompts(run)}
    assert again != dated


def test_chat_options_and_a_system_turn_are_options_of_a_study(
    asking: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = tmp_path / "model" / "chat_template.jinja"
    template.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{{ mood }}>")
    given = ["--chat_options", "{mood: calm}", "--system_prompt", "Be brief."]
    assert main([*asking, *given]) == EXIT_DONE
    assert all("system: Be brief.\nuser: Question" in p and p.endswith("calm>") for p in prompts(tmp_path / "run"))
    assert main([*asking, "--chat_options", "{mood: wild}", "--system_prompt", "Be brief."]) == EXIT_USER
    assert "chat_options.mood" in capsys.readouterr().err
    assert main([*asking, "--chat_options", "{moood: wild}"]) == EXIT_USER
    assert "did you mean 'mood'?" in capsys.readouterr().err


def test_a_template_that_changes_between_start_and_resume_is_refused(
    asking: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*asking, "--limit", "5"]) == EXIT_DONE
    (tmp_path / "model" / "chat_template.jinja").write_text("{{ bos_token }}Hello {{ messages[0].content }}")
    before = prompts(tmp_path / "run")
    assert main(asking) == EXIT_USER
    assert "chat_template.jinja" in capsys.readouterr().err
    assert prompts(tmp_path / "run") == before
