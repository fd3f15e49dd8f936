"""What `lit-experiments inspect` prints of any store."""

from __future__ import annotations

from typing import Any

from lit_experiments.reports.tables import text_table
from lit_experiments.units import byte_count
from stores import Store, fingerprint_difference


def store_summary(summary: dict[str, Any]) -> str:
    """The summary of `stores.inspect` as text."""
    ratio = summary["data_bytes"] / max(1, sum(f["payload_bytes"] for f in summary["fields"].values()))
    lines = [
        f"{summary['path']} ({summary['backend']}, begun {summary['created']})",
        f"rows          {summary['rows']:,} in {summary['commits']} commits of {len(summary['parts'])} parts",
        f"data          {byte_count(summary['data_bytes'])} ({ratio:.2f} of the uncompressed size), "
        f"metadata {byte_count(summary['rows_bytes'])}",
        f"fingerprint   {summary['fingerprint_sha256'][:16]}",
    ]
    lines += [f"              {key}: {_short(value)}" for key, value in _flat(summary["fingerprint"]).items()]
    if summary["orphan_bytes"]:
        lines.append(
            f"orphans       {byte_count(summary['orphan_bytes'])} from interrupted commits, ignored by readers"
        )
    if summary["repeated_ids"]:
        lines.append(f"repeated      {summary['repeated_ids']} sample ids were committed twice; the first is shown")
    lines += ["", _fields(summary), "", _columns(summary)]
    lines += [f"{dim}: {', '.join(map(str, names))}" for dim, names in summary["coords"].items()]
    return "\n".join(lines)


def first_rows(store: Store, count: int) -> str:
    """The metadata of the first rows, a column a line."""
    rows = store.select(slice(0, count)).table().to_pylist()
    return "\n\n".join("\n".join(f"{key}: {_short(value)}" for key, value in row.items()) for row in rows)


def differences(store: Store, other: Store) -> str:
    """Where the fingerprints of two stores differ."""
    differing = fingerprint_difference(store.fingerprint, other.fingerprint)
    if not differing:
        return "Fingerprints: the same; both stores hold the same experiment."
    lines = [f"  {key}: {_short(here)} | {_short(there)}" for key, here, there in differing]
    return "\n".join(["Fingerprints differ (this | other):", *lines])


def _fields(summary: dict[str, Any]) -> str:
    headers = ["field", "dims", "shape", "dtype", "units", "on disk", "ratio"]
    rows = []
    for name, about in summary["fields"].items():
        shape = " x ".join(str(n) for n in about["shape"])
        ratio = "-" if about["ratio"] is None else f"{about['ratio']:.2f}"
        stored = byte_count(about["stored_bytes"])
        rows.append([name, ", ".join(about["dims"]), shape, about["dtype"], about["units"], stored, ratio])
    return text_table(headers, rows)


def _columns(summary: dict[str, Any]) -> str:
    rows = [[name, about["type"], about["description"]] for name, about in summary["columns"].items()]
    width = max((len(name) for name, _, _ in rows), default=0)
    kind = max((len(kind) for _, kind, _ in rows), default=0)
    return "\n".join(f"{n.ljust(width)}  {k.ljust(kind)}  {d}" for n, k, d in rows)


def _flat(mapping: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined with dots."""
    out: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        out |= _flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return out


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 70 else f"{text[:67]}..."
