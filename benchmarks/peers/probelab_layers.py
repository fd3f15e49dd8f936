"""A probe per layer with probelab, from activations that transformers collects: it has no collector of that kind."""

from __future__ import annotations

import probelab as pl
import torch
from sklearn.model_selection import train_test_split
from transformers import AutoModel, AutoTokenizer


def layer_scores(texts: list[str], labels: list[int], model: str) -> dict[str, float]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModel.from_pretrained(model).eval()
    batches = []
    for start in range(0, len(texts), 32):
        batch = tokenizer(texts[start : start + 32], return_tensors="pt", padding=True)
        with torch.no_grad():
            states = torch.stack(network(**batch, output_hidden_states=True).hidden_states[1:], dim=1)
        mask, layers = batch["attention_mask"], tuple(range(states.shape[1]))
        batches.append(pl.Activations(states, dims="blsh", attention_mask=mask, layers=layers).last())
    y = torch.tensor(labels)
    train, test = train_test_split(torch.arange(len(y)), test_size=0.3, stratify=y, random_state=0)
    scores = {}
    for layer, acts in pl.Activations.cat(batches).iter_layers():
        probe = pl.probes.Logistic().fit(pl.Activations(acts.data[train], dims="bh"), y[train])
        scores[str(layer)] = pl.metrics.auroc(y[test], probe.predict(pl.Activations(acts.data[test], dims="bh")))
    return scores


if __name__ == "__main__":
    from exchange import report, request

    report(layer_scores(*request()))
