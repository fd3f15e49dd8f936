"""The reference of options: `<!-- options -->` in a page becomes every option of every experiment, as in --help."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lit_experiments.cli import main
from lit_experiments.cli.configs import available, description
from lit_experiments.cli.help import VERB_HELP, options_of, shared_options
from lit_experiments.cli.parser import Selection, base_configuration

ROOT = Path(__file__).parent.parent


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fills in what a page asks for (called by MkDocs)."""
    return markdown.replace("<!-- options -->", "\n".join(options()))


def options() -> Iterator[str]:
    """The reference of options, in Markdown: what --help prints, each experiment's own first, shared ones once."""
    for verb in ("collect", "train", "analyze"):
        yield f"## {verb}\n\n{VERB_HELP[verb].capitalize()}.\n"
        for name, path in available(verb).items():
            base, _ = base_configuration(verb, Selection(name))
            yield f"### {verb} --exp {name}\n\n{description(path)}\n\n{_shown(options_of(verb, base, path, name))}"
        yield f"### Options of every {verb}\n\n{_shown(shared_options([verb]))}"
    for verb in sorted(VERB_HELP.keys() - {"collect", "train", "analyze", "list"}):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):  # argparse ends so after its help
            main([verb, "--help"])
        yield f"## {verb}\n\n{_shown(printed.getvalue())}"


def _shown(text: str) -> str:
    return f"```text\n{text.replace(f'{ROOT}{os.sep}', '').strip()}\n```\n"
