"""A probe per layer with lmprobe: its layer sweep, at the last token, which is its default."""

from __future__ import annotations

from lmprobe import Probe
from sklearn.model_selection import train_test_split


def layer_scores(texts: list[str], labels: list[int], model: str) -> dict[str, float]:
    train, test, y_train, y_test = train_test_split(texts, labels, test_size=0.3, stratify=labels, random_state=0)
    positive = [text for text, label in zip(train, y_train, strict=True) if label == 1]
    negative = [text for text, label in zip(train, y_train, strict=True) if label == 0]
    probe = Probe(model=model, layers="sweep", batch_size=32, random_state=0).fit(positive, negative)
    results = probe.evaluate(test, y_test)["layer_results"]
    return {str(layer): metrics["auroc"] for layer, metrics in results.items()}


if __name__ == "__main__":
    from exchange import report, request

    report(layer_scores(*request()))
