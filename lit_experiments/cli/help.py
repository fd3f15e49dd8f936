"""Help texts, made from the YAML files and the classes' source without importing anything heavy."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

from lit_experiments.cli import configs, trainer_flags
from lit_experiments.cli.options import RUN_OPTIONS, Option
from lit_experiments.cli.parser import Selection, base_configuration
from lit_experiments.cli.signatures import arguments

VERB_HELP = {
    "collect": "language model -> store: run a model over samples and write what it computes",
    "train": "store -> probe or regressor",
    "analyze": "stores and probes -> statistics, figures, report",
    "score": "a saved probe on new texts -> a table of scores, per text and per token",
    "run": "a pipeline: collect, train and analyze in order, skipping what is finished",
    "list": "the experiments and pipelines there are",
    "inspect": "what a store holds: rows, fields, sizes, provenance",
    "verify": "re-read every byte of a store against its checksums; compute rows again and compare",
    "certificate": "one hash over a run's content, whatever devices, interruptions and backend it came by",
    "export": "write a store or probe in a format that other tools read",
    "watch": "a run while it is being collected: rows, rates, memory, last commits, time left",
    "merge": "runs of one collection that were collected apart, made one",
    "push": "a run, probe or directions to the Hugging Face Hub, with a card",
    "pull": "a run, probe or directions from the Hub, checked",
    "audit": "every claim of a run's trained tasks, judged by one rule",
    "selftest": "what the package's intervals and tests hold, measured on simulated data",
    "report": "an index page of all runs in a folder, with their states and results",
    "serve": "the same in a browser, with every row of every store: texts, numbers by token, nearest rows",
}
_COMMON = [
    Option("exp", str, "Name of the experiment (a file in configs/<verb>/).", "Run"),
    Option("preset", str | None, 'A named variant of the YAML; "full" is the study at full size.', "Run"),
    Option("config", str | None, "A saved configuration (runs/<name>/config.yaml) to repeat.", "Run"),
    Option("print_config", bool, "Print the resolved YAML and stop.", "Run"),
]


def overview() -> str:
    """The help of `lit-experiments` itself."""
    verbs = "\n".join(f"  {verb:<12} {text}" for verb, text in VERB_HELP.items())
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
        usage += f"\n{configs.description(configs.find(verb, base['exp']))}\n\n"
        usage += options_of(verb, base, path, base["exp"])
        defaults = {k: v for k, v in base.items() if k != "exp"}
    else:
        defaults = configs.shared_defaults(verb)
        rows = [f"  {name:<22} {configs.description(path)}\n" for name, path in configs.available(verb).items()]
        usage += "\nExperiments:\n" + "".join(rows or ["  (none yet)\n"])
        usage += f"\nOptions of one experiment: lit-experiments {verb} --exp NAME --help\n"
    return usage + _shared([*_COMMON, *RUN_OPTIONS[verb]], defaults) + _trainer(verb)


def options_of(verb: str, base: dict[str, Any], path: Path, exp: str) -> str:
    """The options of an experiment's class, with the defaults of its YAML."""
    lines = [_entry(a.name, a.type, a.help, base["init_args"].get(a.name)) for a in arguments(base["class_path"])]
    return f"Options of {verb} --exp {exp} ({path}):\n" + "".join(lines or ["  (none of its own)\n"])


def shared_options(verbs: list[str]) -> str:
    """The options that every experiment has, of several verbs together; defaults are those of the first that has it."""
    options = {option.name: option for verb in reversed(verbs) for option in RUN_OPTIONS[verb]}
    defaults = {key: value for verb in reversed(verbs) for key, value in configs.shared_defaults(verb).items()}
    preset = [option for option in _COMMON if option.name == "preset"]
    return _shared([*preset, *options.values()], defaults) + (_trainer(verbs[-1]) if verbs else "")


def _shared(options: list[Option], defaults: dict[str, Any]) -> str:
    text = ""
    for section in dict.fromkeys(o.section for o in options):
        text += f"\n{section}:\n"
        for option in options:
            if option.section == section:
                text += _entry(option.name, _type_name(option.type), option.help, defaults.get(option.name))
    return text


def _trainer(verb: str) -> str:
    """The Trainer's own arguments that a verb takes, in Lightning's words."""
    if verb not in trainer_flags.VERBS:
        return ""
    lines = [
        _entry(f"trainer.{a.name}", _lightning_type(a.type), _plain(a.help), None) for a in trainer_flags.flags(verb)
    ]
    return "\nLightning's Trainer:\n" + "".join(lines)


def _lightning_type(annotation: str) -> str:
    """`Optional[Union[bool, _LITERAL_WARN]]` as `bool | warn`."""
    words = re.sub(r"Optional|Union|Iterable|list|\[|\]", " ", annotation).replace("_LITERAL_WARN", "warn")
    return "|".join(dict.fromkeys(w.strip().replace("_PATH", "path") for w in words.split(",") if w.strip()))


def _plain(text: str) -> str:
    """reStructuredText without its marks; Lightning's own default is not ours."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", text).replace("``", "")
    return re.sub(r"\s*Default: .*$", "", text)


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
    head = f"  --{name.removesuffix('_')}{_placeholder(kind)}"
    shown = "" if default is None or default is False or default == {} else f" (default: {default})"
    width = min(shutil.get_terminal_size().columns, 110) - 2
    body = textwrap.fill(text + shown, width, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return f"{head}\n{body}\n"
