"""Which of the layers that a store holds an analysis is to look at."""

from __future__ import annotations

from collections.abc import Sequence

from lit_experiments.errors import UserError
from stores import Store


def layer_names(store: Store) -> list[str]:
    """The stored sites, for example resid_post.3, in order."""
    return [str(name) for name in store.schema.coords["layer"]]


def stored_layers(store: Store, layers: Sequence[int] | None, option: str) -> list[int]:
    """Places of the sites of these blocks among the stored ones; of the middle one stored for None.

    Raises:
        UserError: a block that is not stored; `option` is what named it.
    """
    names = layer_names(store)
    if layers is None:
        return [len(names) // 2]
    places = {name.rpartition(".")[2]: place for place, name in enumerate(names)}
    missing = [str(layer) for layer in layers if str(layer) not in places]
    if missing or not layers:
        raise UserError(
            f"{option}: {', '.join(missing) or 'no layer'} named; the store holds the blocks {', '.join(places)}."
        )
    return [places[str(layer)] for layer in layers]
