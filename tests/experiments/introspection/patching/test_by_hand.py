"""Changes under interventions are those computed by hand from the planted model's own formula; its checks can fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lit_experiments.errors import RunFailed
from lit_experiments.experiments.introspection.passes import passes
from lit_experiments.experiments.introspection.patching.checks import (
    check_collected,
    check_identity,
    check_last_replacement,
    check_whole_replacement,
    equal_lengths,
)
from lit_experiments.experiments.introspection.patching.choice import Choice
from lit_experiments.experiments.introspection.patching.passes import Bench, groups
from lit_experiments.lm.intervene import Ablate, Patch, Steer
from lit_experiments.lm.last_token import SharedPrefix
from lit_experiments.lm.model import LanguageModel
from stores import Store
from tests.experiments.introspection.patching.runs import (
    SELF,
    SITES,
    bench_of,
    column,
    expected,
)
from tests.experiments.introspection.planted_model import (
    READ,
    UNREAD,
)


def test_changes_are_those_computed_by_hand(lm: LanguageModel, choice: dict[str, Choice]) -> None:
    bench = bench_of(lm, choice[SELF].sample)
    along = bench.states(SITES[1]).double().numpy() @ READ
    given, unread = (torch.tensor(v, dtype=torch.float32) for v in (READ, UNREAD))
    todo = [Steer(SITES[1], given, m, "last") for m in (-2.0, 0.5)] + [Ablate(SITES[1], given, "last")]
    changes = bench.changes(
        [lambda _, i=change: i for change in [*todo, Ablate(SITES[1], unread, "last")]], lambda n: None
    )
    clean = expected(along)
    np.testing.assert_allclose(column(bench.clean[0], "confidence"), clean, atol=1e-3)
    for at, changed in enumerate((along - 2, along + 0.5, np.zeros(24))):
        np.testing.assert_allclose(column(changes[at], "confidence"), expected(changed) - clean, atol=1e-3)
    np.testing.assert_allclose(column(changes[3], "confidence"), 0, atol=1e-4)


def test_a_donor_s_component_moves_it_all_the_way_if_it_is_read_and_not_at_all_if_not(
    lm: LanguageModel, choice: dict[str, Choice]
) -> None:
    low, high = bench_of(lm, choice[SELF].recipients), bench_of(lm, choice[SELF].donors)
    mine, theirs = low.states(SITES[2]), high.states(SITES[2])
    made = []
    for direction in (READ, UNREAD):
        u = torch.tensor(direction, dtype=torch.float32)
        swapped = mine + ((theirs - mine) @ u)[:, None] * u
        made.append(lambda taken, s=swapped: Patch(SITES[2], s[torch.as_tensor(taken)], "last"))
    changes = column(low.changes(made, lambda n: None), "confidence")
    gap = column(high.clean[0] - low.clean[0], "confidence")
    assert gap.min() > 10
    np.testing.assert_allclose(changes[0], gap, atol=1e-3)
    np.testing.assert_allclose(changes[1], 0, atol=1e-4)
    assert not np.allclose((theirs - mine).double().numpy() @ UNREAD, 0, atol=0.1)  # there was something to swap


def test_all_measures_are_those_of_the_collected_distribution(
    store: Store, lm: LanguageModel, choice: dict[str, Choice]
) -> None:
    for kind, selection in choice.items():
        table = passes(store)[kind].loc[list(selection.sample.questions)]
        clean = bench_of(lm, selection.sample).clean[0]
        np.testing.assert_allclose(column(clean, "entropy"), table.entropy, atol=1e-5)
        np.testing.assert_allclose(column(clean, "outside"), 100 * table.outside_mass, atol=1e-3)
        if kind == "mcq":
            key = [dict(zip(r.letters, r.probs, strict=True))[r.correct_answer_letter] for r in table.itertuples()]
            np.testing.assert_allclose(column(clean, "key"), 100 * np.array(key), atol=1e-3)
            best = [r.letters[int(np.argmax(r.probs))] for r in table.itertuples()]
            assert (column(clean, "accuracy") == 100 * (np.array(best) == table.correct_answer_letter)).all()
            assert np.isnan(column(clean, "confidence")).all()
        else:
            np.testing.assert_allclose(column(clean, "confidence"), table[kind], atol=1e-3)
            assert np.isnan(column(clean, "accuracy")).all()


def test_batches_change_nothing_but_rounding(lm: LanguageModel, choice: dict[str, Choice]) -> None:
    questions = choice[SELF].sample
    steer = Steer(SITES[1], torch.tensor(READ, dtype=torch.float32), 1.0, "last")
    many = Bench(lm, questions, groups([len(ids) for ids in questions.ids], 30), 3)
    assert len(many.batches) > 5
    counted: list[int] = []
    one = bench_of(lm, questions, 1).changes([lambda _: steer] * 4, counted.append)
    np.testing.assert_allclose(many.changes([lambda _: steer] * 4, counted.append), one, atol=1e-4)
    assert sum(counted) == 8


class Wrong(SharedPrefix):
    """Gives states that are not the model's own."""

    def states(self, site: str) -> torch.Tensor:
        return super().states(site) + 0.1 * torch.tensor(READ, dtype=torch.float32)


def test_checks_pass_and_say_so_when_something_is_wrong(lm: LanguageModel, choice: dict[str, Choice]) -> None:
    low, high = bench_of(lm, choice[SELF].recipients, 2), bench_of(lm, choice[SELF].donors, 2)
    pairs = equal_lengths(choice[SELF].sample, 3)
    assert check_identity(low, SITES[0]) == 2 * 8 * 256
    assert check_last_replacement(lm, low, high) == 0
    assert check_whole_replacement(lm, choice[SELF].sample, pairs, SITES[1]) == 0
    assert check_whole_replacement(lm, choice[SELF].sample, ([], []), SITES[1]) is None
    assert check_collected(lm, [low, high]) < 1e-5
    for bench, questions in ((low, choice[SELF].recipients), (high, choice[SELF].donors)):
        bench.passes = [Wrong(lm, [questions.ids[i] for i in bench.batches[0]], 2)]
    with pytest.raises(RunFailed, match=r"Putting a state back at resid_post\.0 moved a logit by"):
        check_identity(low, SITES[0])
    with pytest.raises(RunFailed, match="must give the donor's logits; they differ by"):
        check_last_replacement(lm, low, high)
    low.collected_difference = 0.01
    with pytest.raises(RunFailed, match="does not give the letters' logits that were collected"):
        check_collected(lm, [low])
