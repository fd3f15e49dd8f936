"""A scikit-learn classifier in place of the probe that `pos_probe` trains: the same face, everything checked.

Such a file does not say which states it was trained on. What can be checked is: its size, its classes, and that its
probabilities are some. What cannot is the caller's to say: the layer, and the tags where classes are numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.sentences import TAGS
from lit_experiments.probes.sklearn_files import read_classifier
from stores import fingerprint_hash

_SUMS = 1e-4  # how far from 1 a classifier's own probabilities may sum: many compute in float32
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SklearnProbe:
    """classes: the tags, in the order of TAGS; columns: where the classifier's own order has them. digest: of the
    file and of what its classes are called."""

    classifier: Any
    path: Path
    layer: str
    classes: tuple[str, ...]
    columns: tuple[int, ...]
    digest: str

    def predict_proba(self, x: ArrayLike) -> Floats:
        """[row, K] probabilities from x [row, hidden], the vectors of `layer`.

        Raises:
            UserError: the classifier fails, or what it returns are no probabilities of its classes.
        """
        rows = np.asarray(x, np.float64)
        try:
            probs = np.asarray(self.classifier.predict_proba(rows), np.float64)
        except (ValueError, AttributeError, TypeError) as error:
            raise UserError(f"The classifier in {self.path} fails on the states of {self.layer}: {error}") from error
        sums = probs.sum(-1, keepdims=True) if probs.ndim == 2 else np.zeros(1)
        right = probs.shape == (len(rows), len(self.columns)) and bool((probs >= 0).all())
        if not right or not bool((np.abs(sums - 1) < _SUMS).all()):
            raise UserError(
                f"{self.path}: predict_proba returned numbers of shape {probs.shape} that are no probabilities of "
                f"{len(self.columns)} classes for {len(rows)} rows (none below 0, each row summing to 1)."
            )
        return np.asarray((probs / sums)[:, self.columns])


def open_sklearn(path: Path, trusted: bool, layer: str | None, tags: Sequence[str] | None, hidden: int) -> SklearnProbe:
    """The classifier in a joblib file as a probe.

    Args:
        trusted: whether the caller says that the file may run code.
        layer: whose states it reads.
        tags: the tags of classes 0, 1, ... where its classes are numbers.
        hidden: length of these states.

    Raises:
        UserError: not trusted, no layer, another input size, classes that are no tags.
        ProbeError: the file holds no classifier.
    """
    if not trusted:
        raise UserError(
            f"{path} is a file for scikit-learn, a pickle: reading it runs whatever code it holds. It was not read.\n"
            "Next: if you made it or trust who did, add --trust_pickle true; or give the folder that pos_probe wrote."
        )
    if layer is None:
        raise UserError(
            f"{path} does not say which layer's states it reads.\nNext: name it with --layer, such as "
            "resid_post.11 (the output of block 11, Hugging Face's hidden_states[12])."
        )
    classifier, digest = read_classifier(path)
    size = getattr(classifier, "n_features_in_", hidden)
    if size != hidden:
        raise UserError(f"{path} takes vectors of {size} numbers; the states of {layer} have {hidden}.")
    names = _names(path, classifier.classes_, tags)
    order = [tag for tag in TAGS if tag in names]
    columns = tuple(names.index(tag) for tag in order)
    return SklearnProbe(
        classifier, path, layer, tuple(order), columns, fingerprint_hash({"file": digest, "classes": names})
    )


def _names(path: Path, classes: Any, tags: Sequence[str] | None) -> list[str]:
    """The tag of each class, in the classifier's own order."""
    labels = np.asarray(classes).tolist()
    if all(isinstance(label, str) for label in labels):
        if tags is not None:
            raise UserError(f"{path} names its classes itself: {', '.join(labels)}.\nNext: leave out --probe_classes.")
        names = [str(label) for label in labels]
    else:
        names = [_numbered(path, label, labels, tags) for label in labels]
    wrong = [name for name in names if name not in TAGS]
    if wrong or len(set(names)) < len(names):
        raise UserError(
            f"{path} has the classes {', '.join(names)}; {', '.join(wrong) or 'some name twice'}: not {len(names)} "
            f"different tags.\nTags: {', '.join(TAGS)}."
        )
    return names


def _numbered(path: Path, number: Any, labels: list[Any], tags: Sequence[str] | None) -> str:
    if tags is None:
        raise UserError(
            f"{path} has classes {', '.join(map(str, labels))}, which do not say what tags they are.\n"
            "Next: name the tags of classes 0, 1, ... with --probe_classes '[ADJ, ADP, ...]'."
        )
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(tags):
        raise UserError(f"{path} has a class {number!r}; --probe_classes names those from 0 to {len(tags) - 1}.")
    return tags[number]
