"""What the documentation site is made of besides its pages: sections of the README, and the reference of options.

<!-- readme: Heading -->       the section of the README under this heading, without the heading
<!-- options -->               every option of every experiment, from the same source as --help
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lit_experiments.cli import main
from lit_experiments.cli.configs import available, description
from lit_experiments.cli.help import VERB_HELP, options_of, shared_options
from lit_experiments.cli.parser import Selection, base_configuration

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
_SECTION = re.compile(r"^<!-- readme: (.+) -->$", re.MULTILINE)
_LINK = re.compile(r"\]\((docs/|lit_experiments/|benchmarks/)?([\w./-]+\.md)(#[\w-]+)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fills in what a page asks for (called by MkDocs)."""
    here = Path(page.file.src_uri).parent
    filled = _SECTION.sub(lambda match: _with_links(readme_section(match[1]), here), markdown)
    return filled.replace("<!-- options -->", "\n".join(options()))


def readme_section(heading: str) -> str:
    """The lines under a heading of the README, up to the next one of its level or above.

    Raises:
        ValueError: there is no such heading.
    """
    lines = README.read_text(encoding="utf-8").splitlines()
    starts = [(i, line) for i, line in enumerate(lines) if line.startswith("#") and line.lstrip("# ") == heading]
    if not starts:
        raise ValueError(f"README.md has no heading {heading!r}.")
    start, line = starts[0]
    level = len(line) - len(line.lstrip("#"))
    return "\n".join(_until_next(lines[start + 1 :], level))


def _until_next(lines: list[str], level: int) -> Iterator[str]:
    fenced = False
    for line in lines:
        fenced ^= line.startswith("```")
        depth = len(line) - len(line.lstrip("#"))
        if not fenced and 0 < depth <= level and line[depth] == " ":
            return
        yield line


def _with_links(text: str, here: Path) -> str:
    """Links of the README to pages of docs/, as seen from a page of the site."""
    return _LINK.sub(lambda m: f"]({os.path.relpath(m[2], here)}{m[3] or ''})" if m[1] == "docs/" else m[0], text)


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
