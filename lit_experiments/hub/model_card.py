"""The card of a probe's or of directions' repository: what was trained on which model's states, how well it does, and
how to use it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_experiments.claims.audit import AuditedClaim
from lit_experiments.hub.card import Collected, claims_section, model_lines, section, source_lines
from lit_experiments.hub.folders import DIRECTIONS, MARKS, PROBE, HubFolder
from stores.hub_files import HubAddress

_TAGS = ["lit-experiments", "interpretability", "probe"]


@dataclass(frozen=True)
class Origin:
    """The run that a probe or directions were made from. root: the certificate of its store; claims: those about it."""

    collected: Collected
    root: str
    claims: Sequence[AuditedClaim]


def model_card(folder: HubFolder, origin: Origin | None, address: HubAddress, license_id: str | None) -> str:
    """The card of a probe or of directions.

    origin: None for a folder that lies in no run.

    Raises:
        ProbeError: a damaged probe.
    """
    from huggingface_hub import ModelCardData

    name = address.id.rpartition("/")[2]
    base = origin.collected.repository if origin is not None else None
    front = ModelCardData(license=license_id, library_name="lit-experiments", tags=_TAGS, base_model=base)
    held = _probe(folder.path) if folder.kind == PROBE else _directions(folder.path)
    parts = [f"# {name}", *held, *section("Made from", _made_from(origin))]
    parts += claims_section(origin.claims if origin is not None else ())
    parts += [
        f"## Use it\n\n{_use(folder.kind, address)}",
        *section("Limits", _limits(folder.kind, origin, license_id)),
    ]
    return f"---\n{front.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _probe(folder: Path) -> list[str]:
    """Paragraphs and lists that say what the files hold."""
    from lit_experiments.probes.sklearn_files import sklearn_object  # loads lightning, which takes seconds

    sklearn_object(folder)  # a damaged probe goes nowhere
    description = json.loads((folder / MARKS[PROBE]).read_text(encoding="utf-8"))
    notes: dict[str, Any] = description.get("notes", {})
    facts = [
        ("Target", notes.get("target") or ", ".join(map(str, description.get("targets", [])))),
        ("Classes", ", ".join(map(str, description.get("classes", [])))),
        ("Reads", ", ".join(map(str, description.get("layers", [description.get("layer")])))),
        ("Position", notes.get("positions", "")),
        ("Width", f"{description['hidden']:,}"),
        ("Formula", f"`{description['formula']}`"),
        ("Trained on", f"{description['rows']:,} rows"),
    ]
    lines = [f"{name}: {value}" for name, value in facts if value]
    what = "A probe of a language model's hidden states, trained with lit_experiments: `probe.safetensors` with the "
    return [f"{what}arrays, `probe.json` with everything else; no pickle.", *section("What it is", lines)]


def _directions(folder: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(folder / MARKS[DIRECTIONS], "numpy") as file:
        lines = [f"`{name}`: {list(file.get_slice(name).get_shape())}" for name in sorted(file.keys())]
        layers = json.loads((file.metadata() or {}).get("layers", "[]"))
    lines += [f"Layers, in this order: {', '.join(map(str, layers))}"] if layers else []
    what = "Directions in a language model's hidden states, for steering, made with lit_experiments: "
    return [f"{what}`{MARKS[DIRECTIONS]}`, shapes `[layer, hidden]`.", *section("Arrays", lines)]


def _made_from(origin: Origin | None) -> list[str]:
    if origin is None:
        return []
    certified = [f"Store: certificate `{origin.root}`"] if origin.root else []
    return [*model_lines(origin.collected), *source_lines(origin.collected), *certified]


def _use(kind: str, address: HubAddress) -> str:
    url = HubAddress("model", address.id, address.revision, "")
    revision = f', revision="{address.revision}"' if address.revision else ""
    if kind == DIRECTIONS:
        return (
            "```python\nfrom huggingface_hub import hf_hub_download\nfrom safetensors.numpy import load_file\n"
            f'directions = load_file(hf_hub_download("{address.id}", "{MARKS[kind]}"{revision}))\n```'
        )
    return (
        "```python\nfrom pathlib import Path\nfrom huggingface_hub import snapshot_download\n"
        "from lit_experiments.probes.sklearn_files import sklearn_object\n"
        f'probe = sklearn_object(Path(snapshot_download("{address.id}"{revision})))  # of scikit-learn\n'
        f"```\n\n```\nlit-experiments pull {url} --out probe\n"
        "lit-experiments score probe --texts new.jsonl --out scores.parquet\n```"
    )


def _limits(kind: str, origin: Origin | None, license_id: str | None) -> list[str]:
    lines = ["It reads states of the model above alone, at the layers and position above."]
    if origin is None:
        lines.append("It lay in no run: what it was trained on is known by hash alone (`probe.json`).")
    elif kind == PROBE and not origin.claims:
        lines.append("No claim about it was judged.")
    if kind == PROBE:
        lines.append("That something can be read from states does not say that the model uses it.")
    if license_id is None:
        lines.append("No license was given for this repository.")
    return lines
