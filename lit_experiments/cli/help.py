"""Help texts, made from the YAML files and the classes' source without importing anything heavy."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import Any

from lit_experiments.cli import configs
from lit_experiments.cli.options import RUN_OPTIONS, Option
from lit_experiments.cli.parser import Selection, base_configuration
from lit_experiments.cli.signatures import arguments

VERB_HELP = {
    "collect": "language model -> store: run a model over samples and write what it computes",
    "train": "store -> probe or regressor",
    "analyze": "stores and probes -> statistics, figures, report",
    "run": "a pipeline: collect, train and analyze in order, skipping what is finished",
    "list": "the experiments and pipelines there are",
    "inspect": "what a store holds: rows, fields, sizes, provenance",
    "verify": "re-read every byte of a store against its checksums",
    "export": "write a store or probe in a format that other tools read",
}
_COMMON = [
    Option("exp", str, "Name of the experiment (a file in configs/<verb>/).", "Run"),
    Option("preset", str | None, 'A named variant of the YAML; "full" is the study at full size.', "Run"),
    Option("config", str | None, "A saved configuration (runs/<name>/config.yaml) to repeat.", "Run"),
    Option("print_config", bool, "Print the resolved YAML and stop.", "Run"),
]


def overview() -> str:
    """The help of `lit-experiments` itself."""
    verbs = "\n".join(f"  {verb:<9} {text}" for verb, text in VERB_HELP.items())
    return (
        "Collect what a language model computes, and learn from it.\n\n"
        f"Usage: lit-experiments VERB ...\n\n{verbs}\n\n"
        "Examples:\n  lit-experiments run tempnorm\n  python collect.py --exp tempnorm --devices 2\n"
        "  python train.py --exp tempnorm_ridge\n\nHelp of a verb: lit-experiments VERB --help\n"
    )


def verb_help(verb: str, selection: Selection) -> str:
    """The help of collect, train or analyze; with --exp, also the options of that experiment and their defaults."""
    usage = f"Usage: lit-experiments {verb} --exp NAME [options]\n\n{VERB_HELP[verb]}\n"
    if selection.exp or selection.config:
        base, path = base_configuration(verb, selection)
        own = arguments(base["class_path"])
        lines = [_entry(a.name, a.type, a.help, base["init_args"].get(a.name)) for a in own]
        usage += (
            f"\n{configs.description(configs.find(verb, base['exp']))}\n\nOptions of {base['exp']} ({path}):\n"
            + "".join(lines)
        )
        defaults = {k: v for k, v in base.items() if k != "exp"}
    else:
        defaults = configs.shared_defaults(verb)
        rows = [f"  {name:<22} {configs.description(path)}\n" for name, path in configs.available(verb).items()]
        usage += "\nExperiments:\n" + "".join(rows or ["  (none yet)\n"])
        usage += f"\nOptions of one experiment: lit-experiments {verb} --exp NAME --help\n"
    return usage + _shared(RUN_OPTIONS[verb], defaults)


def _shared(options: list[Option], defaults: dict[str, Any]) -> str:
    text = ""
    for section in dict.fromkeys(o.section for o in [*_COMMON, *options]):
        text += f"\n{section}:\n"
        for option in [*_COMMON, *options]:
            if option.section == section:
                text += _entry(option.name, _type_name(option.type), option.help, defaults.get(option.name))
    return text


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _placeholder(kind: str) -> str:
    """What stands behind `--name`: ' INT', ' error|skip', '' for a switch."""
    kind = kind.removesuffix(" | None")
    choices = re.findall(r"'([^']+)'", kind) if kind.startswith("Literal[") else []
    if choices:
        return " " + "|".join(choices)
    return "" if kind == "bool" else " " + kind.upper().replace(" ", "")


def _entry(name: str, kind: str, text: str, default: Any) -> str:
    head = f"  --{name}{_placeholder(kind)}"
    shown = "" if default is None or default is False or default == {} else f" (default: {default})"
    width = min(shutil.get_terminal_size().columns, 110) - 2
    body = textwrap.fill(text + shown, width, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return f"{head}\n{body}\n"
