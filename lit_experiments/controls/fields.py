"""Which fields of a store hold states, and what their layers are called. Knows stores; knows no label."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.errors import UserError
from stores import Field, Store
from stores.schema import nearest

HIDDEN = "hidden"


@dataclass(frozen=True)
class StateField:
    """A float field over [layer], sample or token, hidden.

    layers: the names of those that are read. dim: "sample", or the ragged dim of its entries. width: of a state.
    """

    name: str
    layers: tuple[str, ...]
    dim: str
    width: int

    @property
    def ragged(self) -> bool:
        """Whether a row has many entries."""
        return self.dim != "sample"


def state_fields(store: Store, names: list[str] | None, layers: list[str] | None) -> list[StateField]:
    """The fields that are read.

    Args:
        names: None takes every float field whose last dim is "hidden".
        layers: None takes all of each field; a field without any of these is left out.

    Raises:
        UserError: no such field, a field that holds no states, a layer that no field has, or no field at all.
    """
    known = {field.name: field for field in store.schema.fields}
    if names is None:
        chosen = [field for field in known.values() if _holds_states(field) and field.dims[-1] == HIDDEN]
    else:
        chosen = [_named(store, known, name) for name in names]
    if not chosen:
        shown = ", ".join(f"{f.name} {f.dims}" for f in known.values()) or "none"
        raise UserError(
            f"{store.path} has no field of states: floats over [layer], sample or token, {HIDDEN}.\nFields: {shown}.\n"
            "Next: name one with --fields, or collect states: python collect.py --exp activations."
        )
    fields = [_field(store, field, layers) for field in chosen]
    if layers is not None:
        missing = [layer for layer in layers if not any(layer in field.layers for field in fields)]
        known_layers = [*dict.fromkeys(name for field in chosen for name in layer_names(store, field))]
        if missing or not layers:
            raise UserError(
                f"--layers: {store.path} has no layer {', '.join(missing) or '(none was named)'}"
                f"{nearest(missing[0], known_layers) if missing else ''}; it has: {', '.join(known_layers)}."
            )
    return [field for field in fields if field.layers]


def layer_names(store: Store, field: Field) -> list[str]:
    """The names of a field's layers; its own name where it has no such dim."""
    others = [dim for dim in field.dims if dim != field.stacking]
    if len(others) == 1:
        return [field.name]
    size = field.shape[field.dims.index(others[0])] or 0
    return [str(name) for name in store.schema.coords.get(others[0], range(size))]


def _field(store: Store, field: Field, layers: list[str] | None) -> StateField:
    names = layer_names(store, field)
    chosen = names if layers is None else [name for name in names if name in layers]
    return StateField(field.name, tuple(chosen), field.stacking, int(field.shape[-1] or 0))


def _holds_states(field: Field) -> bool:
    return field.is_float and len(field.dims) in (2, 3) and field.axis != len(field.dims) - 1


def _named(store: Store, known: dict[str, Field], name: str) -> Field:
    usable = [field.name for field in known.values() if _holds_states(field)]
    if name not in known:
        raise UserError(
            f"--fields {name}: {store.path} has no such field{nearest(name, usable)}; fields of states: "
            f"{', '.join(usable) or 'none'}."
        )
    if name not in usable:
        raise UserError(
            f"--fields {name}: it has dims {known[name].dims} and holds {known[name].dtype}; states are floats over "
            f"[layer], sample or token, and a last dim. Such fields: {', '.join(usable) or 'none'}."
        )
    return known[name]
