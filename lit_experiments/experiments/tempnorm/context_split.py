"""Which starting points train and which test: those whose contexts say the same stay together.

Does not know: targets, fits.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.labels import LabelTable
from lit_experiments.controls.split import Split, SplitOptions, make_split
from lit_experiments.controls.texts import Texts, texts_of
from lit_experiments.errors import UserError
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.splits import group_split
from lit_experiments.sources.content_groups import united
from stores import Store

_TEXT, _IDS = "context", "starting_point_ids"


def context_texts(store: Store) -> Texts | None:
    """[row] the contexts as text, or as the ids that the model read where there is no text; None without either."""
    if _TEXT in store.column_names:
        return texts_of(store, _TEXT)
    if _IDS not in store.column_names:
        return None
    return Texts([" ".join(map(str, ids)) for ids in _context_ids(store)], _IDS)


def context_groups(store: Store) -> NDArray[np.str_]:
    """[row] the group of each starting point: the first sample that has the same context, as the model read it.

    Rows of copies of one context are no independent evidence, wherever the copies stand. A group has the name of its
    first sample, so that splits do not depend on the wording of contexts.
    """
    if _IDS not in store.column_names:
        return np.array(store.sample_ids, str)
    first: dict[tuple[int, ...], str] = {}
    rows = zip(store.sample_ids, _context_ids(store), strict=True)
    return np.array([first.setdefault(tuple(ids), name) for name, ids in rows], str)


def split_contexts(store: Store, options: SplitOptions) -> Split:
    """The split by content, united with copies of what the model read; row by row where options.group_by is "id".

    Raises:
        UserError: too few groups for the folds and a test part.
    """
    split = make_split(store, LabelTable(store, None), context_texts(store), options)
    if split.reason:
        raise UserError(f"{split.reason}.\nNext: collect more contexts, lower --folds, or --group_by id.")
    if options.group_by == "id":
        return split
    joined = united(split.group, context_groups(store))
    first = np.unique(joined, return_index=True)[1]
    group = np.array(store.sample_ids, str)[first][joined]
    part = group_split(group, options.test_fraction, options.folds, options.seed)
    test = part == TEST
    neighbour = test & np.isin(split.content, split.content[~test])
    sizes = np.bincount(joined)
    summary = replace(
        split.summary,
        test_rows=int(test.sum()),
        groups=len(sizes),
        test_groups=len(set(group[test].tolist())),
        largest_group=int(sizes.max()),
        neighbours=int(neighbour.sum()),
    )
    return replace(split, group=group, part=part, neighbour=neighbour, summary=summary)


def _context_ids(store: Store) -> list[list[int]]:
    """[row] ids of the contexts, without those that the model wandered on to."""
    wander = int(store.fingerprint["settings"]["initial_wander"])
    return [ids[: len(ids) - wander] for ids in store.table([_IDS]).column(0).to_pylist()]
