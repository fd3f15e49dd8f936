"""Names of the places in a model where a hidden state is read, and what each means.

    embed          what enters the first block (token and position embeddings, scaled as the model scales them)
    resid_pre.L    the residual stream entering block L;  resid_pre.0 is embed, resid_pre.L is resid_post.L-1
    resid_mid.L    the residual stream after attention's contribution, before the MLP's
    resid_post.L   the residual stream leaving block L (before the final norm, for the last block too)
    attn_out.L     what block L's attention adds to the stream;  mlp_out.L: what its MLP adds
    final_norm     the last block's output after the final norm: what the output embedding reads

A name may be a pattern: `resid_post.*`, `*.3`, `resid_*.last`, `attn_out.[0-5]` stand for every site that matches, in
the order in which a forward pass reaches them.

Owns the names and which of them a model has. Knows no tensors. Hugging Face's `hidden_states[-1]` is `final_norm`.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from lit_experiments.lm.errors import ModelError, model_error, nearest
from lit_experiments.lm.layouts import Layout

LAYER_KINDS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
_NO_MID = {
    "sequential": "blocks of different kinds have it at different places here",
    "parallel": "attention and MLP read the same stream here, so no state lies between them",
    "post_norm": "blocks normalise the stream after each addition here, so it is no running sum",
    "rescaled": "blocks also scale the stream here, so it is no running sum",
    "mixer": "blocks have one part each here",
}


@dataclass(frozen=True)
class Site:
    """One resolved site: `layer` is a block index from 0, None for `embed` and `final_norm`."""

    kind: str
    layer: int | None

    @property
    def name(self) -> str:
        return self.kind if self.layer is None else f"{self.kind}.{self.layer}"


def available_sites(layout: Layout, n_layers: int) -> list[str]:
    """Every site of a model with this layout, in the order in which a forward pass reaches them."""
    names = ["embed"]
    for layer in range(n_layers):
        for kind in ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post"):
            if _absence(layout, kind) is None:
                names.append(f"{kind}.{layer}")
    return names + (["final_norm"] if layout.norm is not None else [])


def resolve_sites(names: list[str] | tuple[str, ...], layout: Layout, n_layers: int) -> list[str]:
    """Site names as they are stored: `resid_post.-1` and `resid_post.last` become the block's index,
    `resid_post.*` every block in turn, and any other pattern the sites that match it. A site that a pattern names again
    is read once. Raises ModelError for an unknown or absent site, one named twice, and a pattern without a match."""
    resolved = [(name, site.name) for name in names for site in _expand(name, layout, n_layers)]
    plain = [site for name, site in resolved if not _is_pattern(name)]
    repeated = sorted({site for site in plain if plain.count(site) > 1})
    if repeated:
        raise model_error("A site was asked for twice.", actual=", ".join(repeated), next_step="name each site once")
    return list(dict.fromkeys(site for _, site in resolved))


def parse_site(name: str) -> Site:
    """The parts of a stored site name (no `last`, no negative layer). Raises ModelError."""
    kind, _, layer = name.partition(".")
    if not layer and kind in ("embed", "final_norm"):
        return Site(kind, None)
    if kind in LAYER_KINDS and layer.isdecimal():
        return Site(kind, int(layer))
    raise _unknown(name)


def _is_pattern(name: str) -> bool:
    return any(mark in name for mark in "*?[")


def _expand(name: str, layout: Layout, n_layers: int) -> list[Site]:
    kind, _, layer = name.partition(".")
    if _is_pattern(name) and not (kind in LAYER_KINDS and layer == "*"):
        return _matching(name, layout, n_layers)
    if kind not in LAYER_KINDS:
        site = parse_site(name)
        _require(layout, site.kind)
        return [site]
    _require(layout, kind)
    if layer == "*":
        return [Site(kind, index) for index in range(n_layers)]
    return [Site(kind, _layer_index(name, layer, n_layers))]


def _matching(pattern: str, layout: Layout, n_layers: int) -> list[Site]:
    """The sites of this model that match a pattern. Raises ModelError where none does."""
    kind, _, layer = pattern.partition(".")
    counted = layer == "last" or (layer.startswith("-") and layer[1:].isdecimal())
    resolved = f"{kind}.{_layer_index(pattern, layer, n_layers)}" if counted else pattern
    sites = available_sites(layout, n_layers)
    names = [name for name in sites if fnmatchcase(name, resolved)]
    if not names:
        raise model_error(
            f"No site of this model matches {pattern!r}.",
            actual=f"the model has {n_layers} blocks and the sites {', '.join(dict.fromkeys(map(_kind_of, sites)))}",
            allowed="patterns such as 'resid_post.*', '*.3' or 'resid_*.0'",
        )
    return [parse_site(name) for name in names]


def _kind_of(name: str) -> str:
    return name.partition(".")[0]


def _layer_index(name: str, layer: str, n_layers: int) -> int:
    if layer == "last":
        return n_layers - 1
    if not layer.removeprefix("-").isdecimal():
        raise _unknown(name)
    index = int(layer) + (n_layers if layer.startswith("-") else 0)
    if not 0 <= index < n_layers:
        raise model_error(
            f"Site {name!r} lies outside the model.",
            actual=f"the model has {n_layers} blocks",
            allowed=f"layers 0 to {n_layers - 1}, -{n_layers} to -1, `last`, or `*`",
        )
    return index


def _require(layout: Layout, kind: str) -> None:
    reason = _absence(layout, kind)
    if reason is not None:
        raise model_error(
            f"This model has no site {kind!r}.",
            actual=reason,
            next_step="use resid_post.last" if kind == "final_norm" else "use resid_pre.L or resid_post.L",
        )


def _absence(layout: Layout, kind: str) -> str | None:
    if kind == "resid_mid" and layout.resid_mid is None:
        return _NO_MID[layout.flow]
    if kind in ("attn_out", "mlp_out") and getattr(layout, kind) is None:
        return _NO_MID["mixer"] if layout.flow == "mixer" else "blocks add up several modules' outputs here"
    if kind == "final_norm" and layout.norm is None:
        return "its last block's output is already normalised, there is no final norm"
    return None


def _unknown(name: str) -> ModelError:
    kinds = ["embed", "final_norm", *(f"{kind}.L" for kind in LAYER_KINDS)]
    return model_error(
        f"Unknown site {name!r}.",
        allowed=", ".join(kinds) + " (L a block index, `last` or `*`)",
        next_step=nearest(name.partition(".")[0], ["embed", "final_norm", *LAYER_KINDS]),
    )
