"""`lit.collect`: hidden states of texts in a store."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Any

from lit_experiments.api.commands import named_folder, run_command
from lit_experiments.api.texts import TEXT, digest_of, is_named, table_of, write_table
from stores import Store, open_store

_WHAT_TO_READ = ("text_column", "template", "messages_column", "pair_columns")


def collect(
    texts: Any,
    model: str | PathLike[str] = "embedded",
    sites: str | list[str] | None = None,
    positions: str | list[str] = "last",
    *,
    run: str | PathLike[str] | None = None,
    **options: Any,
) -> Store:
    """Hidden states of texts, as `lit-experiments collect --exp activations` stores them.

    Args:
        texts: a file, dataset folder or Hub id; or a list of texts, a list of dicts, a dict of columns, a pandas
            DataFrame, a `datasets.Dataset` or an Arrow table, whose other columns stay as metadata.
        model: Hub id, folder, or "embedded".
        sites: names or patterns, such as "resid_post.*"; None reads resid_post of every layer.
        positions: last, first, mean, max, all, last_K, spans, response and so on, one or several.
        run: folder of the run. None takes one under runs/ that is named for the texts and the options, so that the
            same call finds what it stored before, and another call never meets it.
        options: any further option of the command, such as text_column, label_columns, devices, batch_size.

    Returns:
        The store; interrupted calls go on where they ended.

    Raises:
        UserError: texts or options that cannot be.
    """
    chosen: dict[str, Any] = {"model": fspath(model), "positions": positions, **options}
    if sites is not None:
        chosen["sites"] = [sites] if isinstance(sites, str) else sites
    if is_named(texts):
        folder = Path(run) if run is not None else named_folder("activations", fspath(texts), chosen)
        chosen["texts"] = fspath(texts)
    else:
        table = table_of(texts)
        folder = Path(run) if run is not None else named_folder("activations", digest_of(table), chosen)
        chosen["texts"] = write_table(table, folder)
        if table.column_names == [TEXT] and not any(chosen.get(name) for name in _WHAT_TO_READ):
            chosen["text_column"] = TEXT
    run_command("collect", "activations", {"run": folder, **chosen})
    return open_store(folder / "store")
