"""A probe per layer with transformers and scikit-learn alone: the floor."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoModel, AutoTokenizer


def layer_scores(texts: list[str], labels: list[int], model: str) -> dict[str, float]:
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    network = AutoModel.from_pretrained(model).eval()
    batches = []
    for start in range(0, len(texts), 32):
        batch = tokenizer(texts[start : start + 32], return_tensors="pt", padding=True)
        with torch.no_grad():
            states = network(**batch, output_hidden_states=True).hidden_states[1:]
        batches.append(torch.stack([layer[:, -1] for layer in states]))
    x, y = torch.cat(batches, dim=1).numpy(), np.array(labels)
    train, test = train_test_split(np.arange(len(y)), test_size=0.3, stratify=y, random_state=0)
    scores = {}
    for layer, states in enumerate(x):
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(states[train], y[train])
        scores[str(layer)] = float(roc_auc_score(y[test], probe.predict_proba(states[test])[:, 1]))
    return scores


if __name__ == "__main__":
    from exchange import report, request

    report(layer_scores(*request()))
