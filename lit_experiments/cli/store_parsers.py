"""The options of the verbs that take stores as data. Loads no store code, so that their help is quick."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

from lit_experiments.cli.verb_parser import VerbParser

FORMATS = ("jsonl", "npy", "safetensors", "parquet", "zarr", "hdf5")
COMPRESSIONS = ("gzip", "none", "blosc")
"""What `stores.export` offers; a test holds the two together."""


def _inspect(argv: list[str]) -> Namespace:
    parser = _parser("inspect", "What a store holds: rows, fields, sizes, provenance, and its study's own numbers.")
    parser.add_argument("--examples", type=int, default=0, metavar="N", help="also show the first N samples")
    parser.add_argument("--compare_with", metavar="RUN", help="a second run, to be shown side by side")
    _add_exp(parser)
    return parser.parse_args(argv)


def _verify(argv: list[str]) -> Namespace:
    text = "Re-read every byte of a store against its checksums; --certificate and --recompute ask for more."
    parser = _parser("verify", text)
    certified = "what the content must hash to, or the file of `certificate --json`, which says where it differs"
    parser.add_argument("--certificate", metavar="HASH", help=certified)
    again = "compute so many rows again, one at a time, with the recorded model and settings, and compare: 5%%, 20"
    parser.add_argument("--recompute", metavar="ROWS", help=again)
    parser.add_argument("--seed", type=int, metavar="N", help="of the choice of rows to recompute (default: 0)")
    _add_exp(parser)
    return parser.parse_args(argv)


def _certificate(argv: list[str]) -> Namespace:
    parser = _parser("certificate", "One hash over a run's content: the same for the same rows, another for others.")
    parser.add_argument("--json", metavar="FILE", help="write the whole certificate; must not exist yet")
    return parser.parse_args(argv)


def _export(argv: list[str]) -> Namespace:
    parser = _parser("export", "Write a store (or a trained probe) in a format that other tools read.")
    formats = (
        f"{', '.join(FORMATS)}; json for runs of prefill_dynamics; sklearn for a folder with a trained probe, or the "
        "results of tempnorm_ridge"
    )
    parser.add_argument("--format", required=True, metavar="NAME", help=formats)
    parser.add_argument("--out", required=True, metavar="PATH", help="file or folder; must not exist yet")
    packed = f"for hdf5: {', '.join(COMPRESSIONS)} ({COMPRESSIONS[0]} if left out; blosc is quick but needs a plugin)"
    parser.add_argument("--compression", metavar="NAME", help=packed)
    _add_exp(parser)
    padded = (
        "npy: ragged data as one array with zeros on that side and a mask, or with none as one array per row (default: "
        "rows one after the other, with offsets; in study 3 right)"
    )
    parser.add_argument("--pad", choices=("left", "right", "none"), help=padded)
    parser.add_argument("--short_names", action="store_true", help="npy of study 3: folders self_conf, other_conf")
    return parser.parse_args(argv)


def _watch(argv: list[str]) -> Namespace:
    parser = _parser("watch", "A run while it is being collected, by this or another process, here or elsewhere.")
    parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="between looks (default: 2)")
    parser.add_argument("--once", action="store_true", help="look once and end")
    return parser.parse_args(argv)


def _merge(argv: list[str]) -> Namespace:
    text = (
        "Runs of one collection that were collected apart (by --shard, or with other --limit), made one. Arrays are "
        "linked where they can be; samples that several runs have must be equal in them. The runs stay as they are."
    )
    parser = VerbParser("merge", text)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders or URLs of runs")
    parser.add_argument("--out", required=True, metavar="RUN", help="folder of the merged run; no store may be there")
    return parser.parse_args(argv)


def _push(argv: list[str]) -> Namespace:
    text = (
        "Send a run to a dataset repository of the Hugging Face Hub, or a probe or directions to a model repository, "
        "with a card that says what it is. What is there already is not sent again."
    )
    parser = VerbParser("push", text)
    parser.add_argument("folder", metavar="FOLDER", help="folder of a run, of a probe, or with directions.safetensors")
    parser.add_argument("to", metavar="HUB", help="hf://OWNER/NAME; made where it is not there")
    parser.add_argument("--private", action="store_true", help="a new repository is for its owner alone")
    parser.add_argument("--revision", metavar="NAME", help="branch to push to; made where it is not there")
    parser.add_argument("--message", metavar="TEXT", help="of the commit")
    parser.add_argument("--license", metavar="NAME", help="for the card, as the Hub names it: cc-by-4.0, mit")
    parser.add_argument("--dry_run", action="store_true", help="show the card and the files; send nothing")
    return parser.parse_args(argv)


def _pull(argv: list[str]) -> Namespace:
    text = "Fetch a run, probe or directions from the Hub, and check every byte and the certificate."
    parser = VerbParser("pull", text)
    parser.add_argument("source", metavar="HUB", help="hf://OWNER/NAME, also @REVISION")
    parser.add_argument("--out", metavar="DIR", help="folder that it becomes (default: runs/NAME)")
    parser.add_argument("--revision", metavar="NAME", help="branch, tag or commit")
    return parser.parse_args(argv)


PARSERS: dict[str, Callable[[list[str]], Namespace]] = {
    "inspect": _inspect,
    "verify": _verify,
    "certificate": _certificate,
    "export": _export,
    "watch": _watch,
    "merge": _merge,
    "push": _push,
    "pull": _pull,
}


def _parser(verb: str, text: str) -> VerbParser:
    parser = VerbParser(verb, text)
    parser.add_argument("run", metavar="RUN", help="folder of a run, e.g. runs/tempnorm")
    return parser


def _add_exp(parser: VerbParser) -> None:
    parser.add_argument("--exp", metavar="NAME", help="the store's study, where it is one of your own configs/collect")
