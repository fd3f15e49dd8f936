"""What the vLLM engine's workers do with packed states, without vLLM: whatever the packing, the same memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.layouts import Layout, Point
from lit_experiments.lm.vllm_engine.regions import MappedRegions, Plan, Reading, Regions, Views, views
from lit_experiments.lm.vllm_engine.scorer import Scorer
from lit_experiments.lm.vllm_engine.taps import Filler, Piece, same_places, site_hook

LENGTHS, HIDDEN, VOCABULARY = (4, 1, 7, 3), 8, 11
TEXTS = [[(3 * k + i) % VOCABULARY for i in range(n)] for k, n in enumerate(LENGTHS)]
STATES = [torch.randn(n, HIDDEN, generator=torch.Generator().manual_seed(n)) for n in LENGTHS]
HEAD = torch.randn(HIDDEN, VOCABULARY, generator=torch.Generator().manual_seed(0))
# Passes as (text, first token, tokens): whole texts in order; out of order; cut into chunks among other texts.
PACKINGS = {
    "in order": [[(0, 0, 4), (1, 0, 1), (2, 0, 7), (3, 0, 3)]],
    "out of order": [[(2, 0, 7), (0, 0, 4)], [(3, 0, 3), (1, 0, 1)]],
    "in chunks": [[(2, 0, 2), (0, 0, 4)], [(1, 0, 1), (2, 2, 4)], [(3, 0, 3), (2, 6, 1)]],
}


def passes(packing: str) -> Iterator[tuple[list[Piece], Tensor]]:
    """Per pass, its pieces and packed states [token, hidden]."""
    for one in PACKINGS[packing]:
        pieces, offset = [], 0
        for row, start, count in one:
            pieces.append(Piece(row, start, count, offset))
            offset += count
        yield pieces, torch.cat([STATES[row][start : start + count] for row, start, count in one])


def planned(*readings: Reading, **options: bool) -> tuple[Plan, Views]:
    plan = Plan("", ["a", "b"], TEXTS, list(readings), HIDDEN, VOCABULARY, **options)
    path, memory = Regions().take(plan.size())
    return replace(plan, path=path), views(plan, memory)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("unrounded", [True, False])
def test_chosen_tokens_lie_in_the_order_asked_for(packing: str, unrounded: bool) -> None:
    rows = [[3, 0], [0], [6, 5, 1], []]
    plan, held = planned(Reading(rows, None, unrounded))
    filler = Filler(plan.readings[0], held.readings[0], torch.device("cpu"))
    for pieces, state in passes(packing):
        filler.begin(pieces)
        filler.take(0, state)
        filler.take(1, 2 * state)
    expected = torch.cat([STATES[row][places] for row, places in enumerate(rows)])
    values = held.readings[0].values
    assert torch.equal(values[0], expected if unrounded else expected.half())
    assert torch.equal(values[1], 2 * expected if unrounded else (2 * expected).half())
    assert bool(held.readings[0].finite.all())
    assert filler.written == [6, 6]


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("statistic", ["mean", "max"])
def test_pools_do_not_depend_on_the_packing(packing: str, statistic: str) -> None:
    rows = [list(range(n // 2, n)) for n in LENGTHS]
    plan, held = planned(Reading(rows, statistic, unrounded=True))
    filler = Filler(plan.readings[0], held.readings[0], torch.device("cpu"))
    for pieces, state in passes(packing):
        filler.begin(pieces)
        filler.take(1, state)
    parts = [STATES[row][places] for row, places in enumerate(rows)]
    expected = [part.sum(0) if statistic == "mean" else part.amax(0) for part in parts]
    assert torch.allclose(held.readings[0].values[1], torch.stack(expected), rtol=1e-6, atol=1e-6)
    assert filler.written == [0, sum(map(len, rows))]


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_scores_do_not_depend_on_packing_and_chunks(packing: str, chunk: int) -> None:
    plan, held = planned(next_logits=True, log_probs=True)
    scorer = Scorer(plan, held, lambda states: states @ HEAD, writes=True)
    scorer.chunk = chunk
    for pieces, state in passes(packing):
        scorer.begin(pieces)
        scorer.take(state)
    logits = [state @ HEAD for state in STATES]
    assert torch.allclose(held.next_logits, torch.stack([one[-1] for one in logits]), rtol=1e-5, atol=1e-5)
    scores = [
        one[:-1].log_softmax(-1).gather(1, torch.tensor(ids[1:], dtype=torch.int64)[:, None])[:, 0]
        for one, ids in zip(logits, TEXTS, strict=True)
    ]
    assert torch.allclose(held.log_probs, torch.cat(scores), rtol=1e-5, atol=1e-5)


def test_memory_is_seen_through_the_path_and_used_again_when_nothing_refers_to_it() -> None:
    regions, mapped = Regions(), MappedRegions()
    path, memory = regions.take(100)
    memory[:3] = (1, 2, 3)
    assert mapped.open(path)[:3].tolist() == [1, 2, 3]
    other, _ = regions.take(100)
    assert other != path
    kept = torch.from_numpy(memory)[:2]
    del memory
    gc.collect()
    assert regions.take(100)[0] != path, "a tensor still looks into it"
    del kept
    gc.collect()
    assert path in {regions.take(100)[0] for _ in range(3)}


class Block(nn.Module):
    """As vLLM's blocks: hands on what its last part gave, and the stream before that."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.norm = nn.Linear(HIDDEN, HIDDEN), Norm()

    def forward(self, positions: Tensor, hidden: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
        stream = hidden if residual is None else hidden + residual
        normed, stream = self.norm(self.attn(stream), stream)
        return normed, stream


class Norm(nn.Module):
    def forward(self, hidden: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        return (hidden + residual).tanh(), hidden + residual


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers, self.norm = nn.ModuleList([Block(), Block()]), Norm()

    def forward(self, hidden: Tensor) -> None:
        residual, positions = None, torch.arange(len(hidden))
        for layer in self.layers:
            hidden, residual = layer(positions, hidden, residual)
        self.norm(hidden, residual)


LAYOUT = Layout("", "layers", "norm", Point("attn", "output"), Point("mlp", "output"), Point("norm", "input"))


def test_the_stream_is_the_sum_of_what_blocks_hand_on() -> None:
    model, states = Model(), {}
    names = ["embed", "resid_pre.1", "attn_out.0", "resid_mid.0", "resid_post.0", "resid_post.1", "final_norm"]
    for name in names:
        assert site_hook(model, LAYOUT, name, lambda state, name=name: states.update({name: state.clone()}))
    x = torch.randn(5, HIDDEN)
    model(x)
    assert torch.equal(states["embed"], x)
    assert torch.allclose(states["resid_mid.0"], x + states["attn_out.0"])
    assert torch.allclose(states["resid_post.0"], states["resid_mid.0"] + states["resid_mid.0"].tanh())
    assert torch.equal(states["resid_pre.1"], states["resid_post.0"])
    assert torch.allclose(states["final_norm"], states["resid_post.1"].tanh())


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("statistic", [None, "mean"])
def test_one_state_serves_all_sites_that_are_its(packing: str, statistic: str | None) -> None:
    names = ["embed", "resid_pre.0", "resid_post.0", "resid_pre.1", "resid_post.1"]
    assert same_places(names, 2) == {"resid_pre.0": [0, 1], "resid_pre.1": [2, 3], "resid_post.1": [4]}
    assert same_places(names[2:4], 1) == {"resid_post.0": [0], "resid_pre.1": [1]}
    plan, held = planned(Reading([list(range(n)) for n in LENGTHS], statistic, unrounded=False))
    filler = Filler(plan.readings[0], held.readings[0], torch.device("cpu"))
    for pieces, state in passes(packing):
        filler.begin(pieces)
        filler.take(0, state)
        filler.take_again(0, 1, state)
    assert torch.equal(held.readings[0].values[1], held.readings[0].values[0])
    assert bool(held.readings[0].finite.all())
    assert filler.written == [sum(LENGTHS)] * 2


def test_absent_sites_are_named() -> None:
    model = Model()
    with pytest.raises(ModelError, match=r"no module mlp: site mlp_out\.1"):
        site_hook(model, LAYOUT, "mlp_out.1", lambda state: None)
