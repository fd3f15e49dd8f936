"""The card of a run's repository: what it holds, what it was made from, which claims hold, and how to open it. Every
line is from the store's own records and the audit; computes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from lit_experiments.claims.audit import AuditedClaim
from lit_experiments.claims.rule import NAMES
from lit_experiments.reports.blocks import Block, Column, Table
from lit_experiments.reports.markdown import markdown_block
from lit_experiments.units import byte_count
from stores import Field, Store
from stores.hub_files import HubAddress

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")
_TAGS = ["lit-experiments", "interpretability", "activations", "hidden-states"]
_MOST_LABELS = 40
_EMBEDDED = "the model that ships with lit_experiments: a demonstration subject, never a scientific result"


@dataclass(frozen=True)
class Collected:
    """What a store says of the collection that made it. options: of the command; settings: of the experiment; model:
    the fingerprint's. Empty for a store that no collection made."""

    experiment: str
    options: dict[str, Any]
    init_args: dict[str, Any]
    model: dict[str, Any]
    settings: dict[str, Any]
    notes: list[str]

    @classmethod
    def of(cls, store: Store) -> Collected:
        """As its provenance and fingerprint say."""
        config = store.provenance.get("config")
        config = config if isinstance(config, dict) else {}
        return cls(
            str(config.get("exp", "")),
            config.get("options", {}),
            config.get("init_args", {}),
            store.fingerprint.get("model", {}),
            store.fingerprint.get("settings", {}),
            list(store.provenance.get("notes", [])),
        )

    @property
    def repository(self) -> str | None:
        """The model's repository on the Hub; None for one from a folder."""
        identity = self.model.get("model", {})
        return identity.get("repository") if isinstance(identity, dict) else None


def run_card(
    store: Store, root: str, claims: Sequence[AuditedClaim], address: HubAddress, license_id: str | None
) -> str:
    """The card of a run. root: the store's certificate."""
    from huggingface_hub import DatasetCardData

    collected = Collected.of(store)
    name = address.id.rpartition("/")[2]
    size = sum(file.size for segment in store.segments for file in segment.manifest.files.values())
    rows = {"config_name": "rows", "data_files": "store/parts/*/rows-*.parquet"}
    front = DatasetCardData(
        license=license_id,
        pretty_name=name,
        tags=list(dict.fromkeys([*_TAGS, *filter(None, [collected.experiment])])),
        size_categories=[size_category(len(store))],
        configs=[rows],
    )
    exp = f" of the experiment `{collected.experiment}`" if collected.experiment else ""
    parts = [
        f"# {name}",
        f"{len(store):,} rows{exp}, {byte_count(size)} of arrays, collected {store.created[:10]} with "
        "lit_experiments: a checksummed store of what a language model computed, and what was learned from it.",
        *section("Made from", model_lines(collected) + source_lines(collected)),
        f"## Fields\n\n{_markdown(_fields_table(store))}",
        *(f"Along `{dim}`: {_labels(labels)}." for dim, labels in store.schema.coords.items()),
        f"Rows also have the columns {', '.join(f'`{name}`' for name in store.column_names)}.",
        f"## Certificate\n\n`{root}`\n\nThe same rows have the same certificate, whatever devices and interruptions "
        f"they came by; `lit-experiments verify RUN --certificate {root}` says whether a copy is this one.",
        *claims_section(claims),
        f"## Open it\n\n{_opening(store, address)}",
        *section("Limits", _limits(store, collected, claims, license_id)),
    ]
    return f"---\n{front.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def size_category(rows: int) -> str:
    """The Hub's name for so many rows."""
    return _SIZES[max(0, len(str(max(rows, 1))) - 3)] if rows < 10**9 else "1B<n<10B"


def model_lines(collected: Collected) -> list[str]:
    """Which model, in which state and precision."""
    options, identity = collected.options, collected.model.get("model", {})
    if "model" not in options:
        return []
    lines = [f"Model: `{shown(options['model'])}`"]
    if options["model"] == "embedded":
        lines[0] += f", {_EMBEDDED}"
    if options.get("revision"):
        lines.append(f"Revision: `{options['revision']}`")
    if isinstance(identity, dict) and identity.get("commit"):
        lines.append(f"Commit: `{identity['commit']}`")
    weights = identity.get("weights") if isinstance(identity, dict) else None
    for file, digest in (weights or {}).items():
        lines.append(f"Weights: `{file}`, SHA-256 `{digest}`")
    if options.get("adapter"):
        lines.append(f"Adapter: `{shown(options['adapter'])}`")
    quantized = f", quantized ({options['quantization']})" if options.get("quantization") else ""
    lines.append(f"Numbers: {collected.model.get('dtype', options.get('precision', ''))}{quantized}")
    return lines


def source_lines(collected: Collected) -> list[str]:
    """Where texts came from, by name and digest of their content."""
    digests = {key: value for key, value in collected.settings.items() if _is_digest(value)}
    lines = []
    for key, digest in digests.items():
        name = collected.init_args.get(key)
        named = f"`{shown(name)}`, " if isinstance(name, str) else ""
        lines.append(f"{key.replace('_', ' ').capitalize()}: {named}SHA-256 `{digest}`")
    return lines + [note[0].upper() + note[1:] for note in collected.notes]


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def shown(name: Any) -> str:
    """A file of this machine by its last name, so that no card tells where somebody's files lie."""
    text = str(name)
    return PurePath(text).name if text.startswith(("/", "~", "./", "../")) else text


def claims_section(claims: Sequence[AuditedClaim]) -> list[str]:
    """The verdicts in a table, and a sentence for each; nothing without claims."""
    if not claims:
        return []
    lines = [f"* **{c.verdict}**: {c.sentence}" + (" (of an earlier state of the rows)" * c.stale) for c in claims]
    table = Table.of("verdicts", "", _VERDICTS, [(claim,) for claim in claims])
    return ["## Which claims hold", _markdown(table), "\n".join(lines)]


_VERDICTS = (
    Column("claim", of="id"),
    Column("verdict", of="verdict"),
    Column("score", of=lambda c: NAMES[c.numbers.score_name]),
    Column("chance", "number", 2, of="numbers.chance"),
    Column("held out, 95 % interval", "estimate", 3, of="numbers.score"),
    Column("p, corrected", "p", of="numbers.p_corrected"),
    Column("test rows", "count", of="numbers.grouping.test_rows"),
    Column("test groups", "count", of="numbers.grouping.test_groups"),
)


def _fields_table(store: Store) -> Table:
    rows = [
        (f"`{f.name}`", _dims(f, len(store)), f.dtype, f.units or "the model's", f.description)
        for f in store.schema.fields
    ]
    columns = [Column(name) for name in ("field", "shape", "stored as", "unit", "what it is")]
    return Table("fields", "", columns, rows)


def _dims(field: Field, rows: int) -> str:
    """site 6 x sample 60 x hidden 256; of a ragged dim only its name."""
    sizes = [
        rows if size is None and dim == "sample" else size for dim, size in zip(field.dims, field.shape, strict=True)
    ]
    return " x ".join(
        f"{dim} {size:,}" if size is not None else dim for dim, size in zip(field.dims, sizes, strict=True)
    )


def _labels(labels: Sequence[str | int | float]) -> str:
    """All of them, or the first and the last ones of many."""
    shown_ones = [*labels[:8], "...", *labels[-4:]] if len(labels) > _MOST_LABELS else labels
    return ", ".join(map(str, shown_ones))


def _opening(store: Store, address: HubAddress) -> str:
    url = HubAddress("dataset", address.id, address.revision, "")
    read = f'store["{store.schema.fields[0].name}"].read(rows=slice(0, 4))' if store.schema.fields else "len(store)"
    return (
        "```python\nimport stores  # pip install lit-experiments\n"
        f'store = stores.open_store("{url}")  # reads what the rows are; no array yet\n'
        f"{read}  # asks the Hub for these chunks alone; store.to_pandas() has the columns\n```\n\n"
        f"`lit-experiments pull {url}` fetches everything and checks it."
    )


def _limits(store: Store, collected: Collected, claims: Sequence[AuditedClaim], license_id: str | None) -> list[str]:
    lines = []
    if collected.options.get("model") == "embedded":
        lines.append("The model is a demonstration subject: nothing here is a finding about language models.")
    if collected.options.get("limit"):
        lines.append(f"Only the first {collected.options['limit']:,} samples were collected (`--limit`).")
    if any(f.dtype == "float16" for f in store.schema.fields):
        lines.append("float16 arrays have 11 significant bits; a vector that float16 cannot hold has an exponent.")
    if collected.model.get("dtype", "float32") != "float32":
        lines.append(
            f"Computed in {collected.model['dtype']}: other batches, devices or library versions round otherwise."
        )
    if claims:
        lines.append(
            "A verdict is about these rows, this model and these layers; it does not say that the model uses it."
        )
    else:
        lines.append("No claim was judged on these rows.")
    lines.append("Columns may hold the texts themselves, whose license is that of their source.")
    if license_id is None:
        lines.append("No license was given for this repository.")
    return lines


def section(title: str, lines: list[str]) -> list[str]:
    """Lines as a list under a heading; nothing without lines."""
    return [f"## {title}\n\n" + "\n".join(f"* {line}" for line in lines)] if lines else []


def _markdown(block: Block) -> str:
    return str(markdown_block(block))
