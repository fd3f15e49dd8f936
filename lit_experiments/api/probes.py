"""`lit.fit_probes`: layerwise probes of a store's labels, and what can be done with them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.api.activations import collect
from lit_experiments.api.commands import result_of, run_command
from lit_experiments.errors import UserError
from stores import Store, open_store

if TYPE_CHECKING:
    import pandas as pd

    from lit_experiments.experiments.linear_probes.result import LinearProbesResult, TargetResult
    from lit_experiments.probes.class_probe import ClassProbe
    from lit_experiments.probes.linear import LinearProbe

_EXPERIMENT = "linear_probes"


def fit_probes(store: Store | str | PathLike[str], target: str | list[str] | None = None, **options: Any) -> Probes:
    """Probes of every layer, with controls and a verdict, as `lit-experiments train --exp linear_probes` fits them.

    Args:
        store: what `lit.collect` returned, any store that lies in RUN/store, or the folder of a run.
        target: column or columns with the labels; None takes those that the collection declares.
        options: any further option of the command, such as method, group_column, labels, evaluate_on, devices.

    Raises:
        UserError: a store without such states or labels, a selection of a store, options that cannot be.
    """
    run = _run_of(store)
    chosen = {} if target is None else {"target": [target] if isinstance(target, str) else target}
    run_command("train", _EXPERIMENT, {"run": run, **chosen, **options})
    return Probes(run / _EXPERIMENT)


class Probes:
    """The probes of one training: `probes["label"]` is that of one target.

    folder: with result.json, the page, and one folder per target. result: everything that was computed, typed.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        """Reads the results of a training.

        Raises:
            UserError: there are none.
        """
        from lit_experiments.experiments.linear_probes.result import LinearProbesResult

        self.folder = Path(folder)
        self.result: LinearProbesResult = result_of(self.folder, LinearProbesResult)

    def __getitem__(self, target: str) -> Probe:
        for result in self.result.targets:
            if result.target == target:
                return Probe(self.folder, result)
        raise KeyError(f"{target!r}; there are {', '.join(self.targets)}")

    def __iter__(self) -> Iterator[Probe]:
        return (Probe(self.folder, result) for result in self.result.targets)

    def __len__(self) -> int:
        return len(self.result.targets)

    def __repr__(self) -> str:
        return f"<Probes {self.folder}: {', '.join(map(repr, self))}>"

    @property
    def targets(self) -> list[str]:
        """Names of the targets."""
        return [result.target for result in self.result.targets]

    @property
    def best(self) -> Probe:
        """The only target's probe, at the layer that was chosen inside the training part.

        Raises:
            UserError: there are several targets.
        """
        if len(self) != 1:
            raise UserError(
                f"There are probes of {', '.join(self.targets)}: name one, as in probes[{self.targets[0]!r}]."
            )
        return self[self.targets[0]]

    @property
    def curve(self) -> pd.DataFrame:
        """Score of every target, field and layer on test rows, with its interval and its p-value."""
        import pandas as pd

        return pd.concat([probe.curve.assign(target=probe.target) for probe in self], ignore_index=True)

    def predict(self, texts: Any) -> NDArray[Any]:
        """`best.predict`."""
        return self.best.predict(texts)

    def save(self, folder: str | PathLike[str]) -> None:
        """`best.save`."""
        self.best.save(folder)


class Probe:
    """The probe of one target, at its chosen layer. result: its scores, controls and verdict."""

    def __init__(self, training: Path, result: TargetResult) -> None:
        from lit_experiments.experiments.linear_probes.probe_files import folder_name

        self.result, self.target, self.layer = result, result.target, result.layer
        self.folder = training / folder_name(result.target)
        self._run = training.parent

    def __repr__(self) -> str:
        return f"{self.target}: {self.result.score_name} {self.result.score} at {self.layer}, {self.verdict}"

    @property
    def verdict(self) -> str:
        """One word: supported, surface-explained, output-explained, leaked, underpowered or not supported."""
        return self.result.verdict.word

    @property
    def curve(self) -> pd.DataFrame:
        """Score of every field and layer on test rows, with its interval and its p-value (corrected over layers)."""
        import pandas as pd

        rows = [
            (curve.field, layer.layer, layer.score.value, layer.score.low, layer.score.high, layer.p, layer.penalty)
            for curve in self.result.curves
            for layer in curve.layers
        ]
        return pd.DataFrame(rows, columns=["field", "layer", "score", "low", "high", "p", "penalty"])

    @property
    def weights(self) -> LinearProbe | ClassProbe:
        """The probe itself: plain arrays that predict from hidden vectors."""
        from lit_experiments.probes.class_probe import load_class_probe
        from lit_experiments.probes.save import load_probe

        if self.result.classes:
            return load_class_probe(self.folder, model=None, layer=None, classes=None)
        return load_probe(self.folder, None)

    def to_sklearn(self) -> Any:
        """A fitted scikit-learn Pipeline that predicts from hidden vectors [row, hidden]."""
        from lit_experiments.probes.sklearn_files import sklearn_object

        fitted = sklearn_object(self.folder)
        return fitted if self.result.classes else fitted[self.target]

    def predict(self, texts: Any) -> NDArray[Any]:
        """[text] the most probable class of each text, or its predicted number; `texts` as in `lit.collect`.

        The model reads them as it read the training texts, at this probe's layer and position.

        Raises:
            UserError: the probe was not trained from a run of `lit.collect`.
        """
        return np.asarray(self.to_sklearn().predict(self._states(texts))).reshape(-1)

    def predict_proba(self, texts: Any) -> NDArray[np.float64]:
        """[text, class] probabilities, classes in the order of `result.classes`.

        Raises:
            UserError: a target that is a number; a probe that was not trained from a run of `lit.collect`.
        """
        if not self.result.classes:
            raise UserError(f"{self.target} is a number and has no probabilities; use predict.")
        return np.asarray(self.to_sklearn().predict_proba(self._states(texts)))

    def save(self, folder: str | PathLike[str]) -> None:
        """Copies the probe's files, for `lit-experiments score`, `collect --exp steering` and other programs.

        Raises:
            UserError: the folder exists.
        """
        if Path(folder).exists():
            raise UserError(f"{folder} exists; give another folder.")
        shutil.copytree(self.folder, folder)

    @property
    def model(self) -> dict[str, Any]:
        """The options of the collection that name its model; empty for a store that no collection made."""
        config = self._run / "config.yaml"
        return _reading(config, ()) if config.exists() else {}

    def _states(self, texts: Any) -> NDArray[np.float32]:
        """[text, hidden] states at the probe's layer and position."""
        config = self._run / "config.yaml"
        field = self.result.field
        if not config.exists() or not field.startswith("hidden_"):
            raise UserError(f"{self._run} is no run of `lit.collect`, so that it is unknown how texts were read.")
        reading = _reading(config)
        column = reading["text_column"]
        if column and isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts):
            texts = {column: list(texts)}
        with tempfile.TemporaryDirectory() as folder:
            position = field.removeprefix("hidden_")
            store = collect(texts, **reading, sites=[self.layer], positions=position, run=folder)
            values = open_store(store.path).field(field)
            if values.field.stacking != "sample":
                raise UserError(f"{field} holds several states per text: score them with lit-experiments score.")
            return np.asarray(values.read())[0]


_OF_THE_MODEL = (
    "model",
    "adapter",
    "revision",
    "precision",
    "attn",
    "device_map",
    "quantization",
    "engine",
    "tensor_parallel",
    "pipeline_parallel",
)
_OF_THE_TEXTS = (
    "text_column",
    "template",
    "messages_column",
    "chat_options",
    "system_prompt",
    "too_long",
    "malformed",
    "quoting",
)


def _reading(config: Path, of_texts: tuple[str, ...] = _OF_THE_TEXTS) -> dict[str, Any]:
    """The options of a collection that say by which model, and how, its texts were read."""
    from lit_experiments.cli.configs import read_yaml

    saved = read_yaml(config)
    return {name: saved.get(name) for name in _OF_THE_MODEL} | {name: saved["init_args"][name] for name in of_texts}


def _run_of(store: Store | str | PathLike[str]) -> Path:
    """The folder of a store's run.

    Raises:
        UserError: a selection of a store's rows, or a store that does not lie in RUN/store.
    """
    if not isinstance(store, Store):
        return Path(store)
    path = Path(store.path)
    if len(store) != len(open_store(path)):
        raise UserError(
            f"This is a selection of {len(store)} of the rows of {path}; probes are fitted to a whole store.\n"
            "Next: give the store, and row_filter={column: value} for rows of one kind; or labels=FILE."
        )
    if path.name != "store":
        raise UserError(f"{path} must lie in a run's folder, as RUN/store: results are written next to it.")
    return path.parent
