"""`verify --recompute` on a small run of every kind of collection: it holds, and whatever is forged is named, though
every checksum of the forged store is right."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.cli.rebuild import planned_batches, rebuilt_collector
from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.recompute import (
    Recomputation,
    Recomputed,
    load_for_recomputation,
    of_each_kind,
    pick_rows,
)
from lit_experiments.collecting.row_values import RowValues
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED, EXIT_USER, UserError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.probes.save import save_probe
from tests.experiments.steering.conftest import linear_probe
from tests.stores.forge import forge

TEXTS = "text,kind,score\n" + "".join(f"The {a} is {b}.,{b},{i / 2}\n" for i, (a, b) in enumerate(
    (a, b) for a in ("cat", "old house", "very long way home") for b in ("red", "blue")
))  # fmt: skip
PARAGRAPHS = "\n\n".join(
    f"The {who} went home. There was a long road, and the {who} saw a {what} on it." for who, what in
    (("cat", "dog"), ("old man", "small house"), ("child", "river and a bridge"))
)  # fmt: skip
COLLECTIONS = {
    "activations": "--texts texts.csv --text_column text --label_columns [kind] --sites [resid_post.*] --generate 3 "
    "--positions [last,mean]",
    "tempnorm": "--limit 4 --gen_length 3 --eval_lengths [1,3] --gen_number 2 --initial_wander 1",
    "prefill_dynamics": "--paragraphs paragraphs.txt --n_samples 2 --min_tokens 8 --max_new_tokens 4",
    "introspection": "--num_questions 2",
    "sampling_variance": "--num_problems 1 --completions 2 --greedy_completions 2 --token_checkpoints [4,8] "
    "--temperatures [0.0,0.6,1.2] --latent_sampling_stride 4",
    "manifold": "--num_problems 2 --completions 2 --max_new_tokens 24",
    "path_sensitivity": "--num_problems 1 --max_new_tokens 24 --bifurcation_step_interval 8",
    "attribution": "--path_run path_sensitivity --top_n_points 3",
    "clustering": "--num_problems 1 --completions 2 --max_new_tokens 24",
    "pos_tokens": "--limit 4",
    "scores": "--texts texts.csv --text_column text --probe probe",
    "steering": "--probe probe --num_prompts 2 --completions 1 --strengths [-2,2] --random_directions 1 "
    "--max_new_tokens 4",
}
NEEDS = {"attribution": "path_sensitivity"}
"""Collections that go on from another one's analysis."""
READER = "--reader embedded --generations prefill_dynamics"
"""What has the paragraphs of another run read again."""
Edit = Callable[[stores.Records], None]


@dataclass(frozen=True)
class Made:
    """A collection, and what recomputes any store of its rows with the model loaded once."""

    run: Path
    recompute: Callable[[Path], Recomputed]

    @property
    def store(self) -> stores.Store:
        return stores.open_store(self.run / "store")


def _collect(run: Path, exp: str, extra: str = "") -> None:
    words = shlex.split(f"collect --exp {exp} --accelerator cpu {COLLECTIONS[exp]} {extra}")
    assert main([*words, "--run", str(run)]) == EXIT_DONE


def _made(folder: Path, exp: str, name: str = "", extra: str = "") -> Made:
    run = folder / (name or exp)
    if exp in NEEDS:
        needed = folder / NEEDS[exp]
        if not needed.exists():
            _collect(needed, NEEDS[exp])
        assert main(["analyze", "--exp", NEEDS[exp], "--run", str(needed), "--bootstraps", "20"]) == EXIT_DONE
    if not run.exists():
        _collect(run, exp, extra)
    original = stores.open_store(run / "store")
    collector = rebuilt_collector(original, None)
    load_for_recomputation(collector)

    def recompute(path: Path) -> Recomputed:
        store = stores.open_store(path)
        return Recomputation(store, collector, lambda: planned_batches(store, collector)).run(range(len(store)))

    return Made(run, recompute)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recompute")
    (folder / "texts.csv").write_text(TEXTS)
    (folder / "paragraphs.txt").write_text(PARAGRAPHS)
    info = read_info(ModelSpec("embedded", None, None, "float32", "auto"))
    fingerprint, notes = info.fingerprint(), {"spread": {"resid_post.0": 1.5}}
    save_probe(linear_probe(fingerprint, notes, info.d_model), folder / "probe")
    return folder


@pytest.fixture(scope="module", params=list(COLLECTIONS))
def made(request: pytest.FixtureRequest, here: Path) -> Made:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        return _made(here, request.param)


@pytest.fixture(scope="module")
def texts(here: Path) -> Made:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        (here / "again").mkdir()
        return _made(here / "again", "activations")


@pytest.fixture(scope="module")
def read_again(here: Path) -> Made:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        if not (here / "prefill_dynamics").exists():
            _collect(here / "prefill_dynamics", "prefill_dynamics")
        return _made(here, "prefill_dynamics", "read_again", READER)


def test_a_run_holds_and_one_changed_bit_of_one_state_does_not(made: Made, tmp_path: Path) -> None:
    """The last bit of one float16 of the last layer: far below what any probe would notice."""
    _holds_until_one_bit_turns(made, tmp_path)


def test_texts_that_another_reader_read_hold_until_one_bit_turns(read_again: Made, tmp_path: Path) -> None:
    _holds_until_one_bit_turns(read_again, tmp_path)


def _holds_until_one_bit_turns(made: Made, tmp_path: Path) -> None:
    good = made.recompute(made.run / "store")
    assert good.holds, "\n".join(good.lines())
    fields = [field for field in made.store.schema.fields if field.is_float]
    field = next((field for field in fields if field.dtype == "float16"), fields[0])
    place = tuple(0 if n is None else n - 1 for n in field.shape)

    def flip(held: stores.Records) -> None:
        values = held.arrays[field.name]
        if field.dtype == "float16":
            values.view(np.uint16)[place] ^= 1
        else:
            values[place] += 1e-3 * np.abs(values[np.isfinite(values)]).max()

    forged = forge(made.run / "store", tmp_path / "store", flip)
    assert stores.verify(forged) == []
    (difference,) = made.recompute(forged).differences
    assert difference.name == f"field {field.name!r}"
    for dim, index in zip(field.dims[:1], place[:1], strict=True):
        label = made.store.schema.label(dim, index) if dim != field.stacking else f"{dim} {index} of"
        assert label in difference.place or dim == "sample"


def _cell(name: str, value: object) -> Edit:
    def edit(held: stores.Records) -> None:
        held.rows[2][name] = value

    return edit


def _swap(held: stores.Records) -> None:
    """The vectors of two rows change places."""
    states = held.arrays["hidden_last"]
    states[:, [0, 3]] = states[:, [3, 0]]


@pytest.mark.parametrize(
    ("edit", "names"),
    [
        (_cell("kind", "green"), {"column 'kind'"}),
        (_cell("score", 1.00001), {"column 'score'"}),
        (_cell("score", 1.0 + 2**-50), {"column 'score'"}),
        (_cell("score", None), {"column 'score'"}),
        (_cell("sample_id", "text-999999"), {"column 'sample_id'"}),
        (_cell("input_digest", "0" * 16), {"column 'input_digest'"}),
        (_cell("response", "another"), {"column 'response'"}),
        (_cell("input_ids", [1, 2]), {"column 'input_ids'"}),
        (_swap, {"field 'hidden_last'"}),
    ],
)
def test_a_forged_cell_is_named(texts: Made, tmp_path: Path, edit: Edit, names: set[str]) -> None:
    differences = texts.recompute(forge(texts.run / "store", tmp_path / "store", edit)).differences
    assert {difference.name for difference in differences} == names
    row = texts.store.table(["sample_id"]).to_pydict()["sample_id"][2]
    if "sample_id" in str(names):
        assert differences[0].recomputed == repr(row)
    elif edit is not _swap:
        assert differences[0].sample_id == row


def test_the_command_says_what_it_did(
    texts: Made, tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(here)
    assert main(["verify", str(texts.run), "--recompute", "50%", "--seed", "1"]) == EXIT_DONE
    assert "Recomputed 3 of 6 rows" in capsys.readouterr().out
    forge(texts.run / "store", tmp_path / "store", _cell("kind", "green"))
    assert main(["verify", str(tmp_path), "--recompute", "6"]) == EXIT_FAILED
    assert "column 'kind': stored 'green', recomputed 'red'" in capsys.readouterr().out


def test_data_that_are_gone_or_others_are_one_mistake(
    texts: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verify", str(texts.run), "--recompute", "1"]) == EXIT_USER
    assert "cannot be recomputed" in capsys.readouterr().err
    (tmp_path / "texts.csv").write_text(TEXTS.replace("red", "mauve"))
    assert main(["verify", str(texts.run), "--recompute", "1"]) == EXIT_USER
    assert "settings.texts: recorded" in capsys.readouterr().err


def test_nothing_that_a_store_names_is_imported_unless_it_is_ours(texts: Made, tmp_path: Path) -> None:
    config = texts.store.provenance["config"]
    for named in ("evil.C", "os.system", 5):
        provenance = texts.store.provenance | {"config": config | {"class_path": named}}
        path = forge(texts.run / "store", tmp_path / str(named), lambda held: None, provenance)
        with pytest.raises(UserError, match="not part of lit_experiments"):
            rebuilt_collector(stores.open_store(path), None)
    path = forge(texts.run / "store", tmp_path / "bare", lambda held: None, {"made": "by hand"})
    with pytest.raises(UserError, match="does not say how it was collected"):
        rebuilt_collector(stores.open_store(path), None)


def test_noise_is_measured_on_rows_of_every_kind() -> None:
    """A column that few rows fill has the noise of these, not that of rows without it."""
    rows = [
        (Sample(f"s{i}", i, 1, None), RowValues({"confidence": 0.5 if i in (7, 13) else None}, {}, {}))
        for i in range(40)
    ]
    measured = {sample.index for sample, _ in of_each_kind(rows)}
    assert {7, 13} < measured
    assert len(measured) == 8


def test_rows_are_picked_by_share_or_number() -> None:
    assert pick_rows(200, 0.05, 3) == pick_rows(200, 0.05, 3) != pick_rows(200, 0.05, 4)
    assert [len(pick_rows(200, share, 0)) for share in (0.05, 0.001, 1.0, 7, 1000)] == [10, 1, 200, 7, 200]


def test_the_certificate_is_remembered_for_the_content_it_was_made_of(
    texts: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verb, the file, and `verify` with either of the two."""
    assert main(["certificate", str(texts.run), "--json", str(tmp_path / "whole.json")]) == EXIT_DONE
    root = capsys.readouterr().out.split()[1]
    assert json.loads((texts.run / "certificate.json").read_text())["root"] == root
    forge(texts.run / "store", tmp_path / "store", _cell("kind", "green"))
    for expected in (root, str(tmp_path / "whole.json")):
        assert main(["verify", str(texts.run), "--certificate", expected]) == EXIT_DONE
        assert main(["verify", str(tmp_path), "--certificate", expected]) == EXIT_FAILED
    assert "column 'kind' differs in rows 0-255" in capsys.readouterr().out
    assert main(["certificate", str(tmp_path)]) == EXIT_USER, "no collection ended there"
    assert "its collection has not come to its end" in capsys.readouterr().err
