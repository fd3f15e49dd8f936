"""`score`: a saved probe on new texts, as one table. It is a collection, whose store lies next to the table; so it is
resumed by the same command, on any devices, and no text is lost or scored twice."""

from __future__ import annotations

import sys
from pathlib import Path

from lit_experiments.cli.places import local_path
from lit_experiments.errors import EXIT_DONE, UserError

EXPERIMENT = "scores"
FORMATS = (".parquet", ".jsonl", ".csv")
"""What the collection can write its table as; a test holds the two together."""
_MODEL = ("--model", "--config", "--preset")
_TAKEN = ("--out", "--exp", "--probe", "--run")
_USAGE = """Usage: lit-experiments score PROBE --texts FILE --out FILE.parquet|.jsonl|.csv [options]

{text}

PROBE: the folder of a probe (probe.json, probe.safetensors). --model and --adapter are those that it was trained on
unless they are given; another model is refused. The store and a page lie in FILE.run; when the command is stopped or
killed, the same command goes on where it was.

"""


def score(argv: list[str]) -> int:
    """Scores texts and writes the table and a page."""
    if any(word in ("-h", "--help") for word in argv):
        sys.stdout.write(_help())
        return EXIT_DONE
    probe, out_name, rest = _own_words(argv)
    out = _table(out_name)
    run = out.with_name(f"{out.name}.run")
    if out.exists() and not (run / "store").exists():
        raise UserError(f"{out} exists, and no {run.name} next to it says that it holds scores.\nNext: another --out.")
    words = ["--exp", EXPERIMENT, "--probe", probe, "--run", str(run), *rest, *_model_words(probe, rest)]
    from lit_experiments.cli import verbs
    from lit_experiments.cli.class_values import import_class
    from lit_experiments.cli.parser import resolve, select
    from lit_experiments.launch import is_main

    resolved = resolve("collect", select("collect", words))
    verbs.collect(resolved, words)
    if is_main() and not resolved.options["dry_run"]:
        page = import_class(resolved.class_path).write_table(run, out)
        verbs.say(f"Scores: {out}\nPage:   {page}")
    return EXIT_DONE


def _own_words(argv: list[str]) -> tuple[str, str, list[str]]:
    """PROBE, the value of --out, and the words that the collection gets."""
    probe: str | None = None
    out: str | None = None
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--out":
            out = value if equals else next(words, "")
        elif name in _TAKEN:
            raise UserError(f"{name} is no option of score.\nNext: lit-experiments score --help")
        elif not word.startswith("--") and probe is None and not (rest and _awaits_value(rest[-1])):
            probe = word
        else:
            rest.append(word)
    if probe is None:
        raise UserError("score needs the folder of a probe.\nNext: lit-experiments score PROBE --texts FILE --out FILE")
    if not out:
        raise UserError(f"--out must name the table: a file that ends in {', '.join(FORMATS)}.")
    return probe, out, rest


def _awaits_value(word: str) -> bool:
    return word.startswith("--") and "=" not in word and word not in ("--restart", "--dry_run")


def _table(name: str) -> Path:
    out = local_path("--out", name)
    if out.suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise UserError(f'--out {name}: the suffix "{out.suffix}" is no format of a table. Known: {known}.')
    if out.is_dir() or not out.absolute().parent.is_dir():
        fault = "is a folder" if out.is_dir() else "lies in a folder that there is not"
        raise UserError(f"--out {name} {fault}.\nNext: name a file in a folder that exists.")
    return out


def _model_words(probe: str, rest: list[str]) -> list[str]:
    """The model that the probe was trained on, unless one is named."""
    if any(word.partition("=")[0] in _MODEL for word in rest):
        return []
    from lit_experiments.probes.readout import model_names, open_readout

    names = model_names(open_readout(Path(probe)))
    if names is None:
        raise UserError(f"{probe} does not say which model it was trained on, or not where it is.\nNext: --model NAME")
    named = {word.partition("=")[0] for word in rest}
    options = {"--model": names.model, "--adapter": names.adapter, "--revision": names.revision}
    return [part for name, value in options.items() if value and name not in named for part in (name, value)]


def _help() -> str:
    from lit_experiments.cli.help import VERB_HELP, options_of, shared_options
    from lit_experiments.cli.parser import Selection, base_configuration

    base, path = base_configuration("collect", Selection(exp=EXPERIMENT))
    usage = _USAGE.format(text=VERB_HELP["score"])
    return usage + options_of("collect", base, path, EXPERIMENT) + shared_options(["collect"])
