"""What pages of the documentation ask for.

<!-- options -->             becomes every option of every experiment, as in --help
<!-- notebook: NAME -->      becomes notebooks/NAME.ipynb, as `make notebooks` executed it
"""

from __future__ import annotations

import contextlib
import io
import json
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
_NOTEBOOK = re.compile(r"^<!-- notebook: (\w+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fills in what a page asks for (called by MkDocs)."""
    filled = _NOTEBOOK.sub(lambda match: "\n\n".join(notebook(match[1])), markdown)
    return filled.replace("<!-- options -->", "\n".join(options()))


def notebook(name: str) -> Iterator[str]:
    """The cells of an executed notebook with what they gave, in Markdown; pictures lie in the page itself."""
    content = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    for cell in content["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source
            continue
        yield f"```python\n{source}\n```"
        printed = "".join(map(_printed, cell["outputs"])).strip("\n")
        if printed:
            yield f"```text\n{printed}\n```"
        for output in cell["outputs"]:
            picture = output.get("data", {}).get("image/png")
            if picture is not None:
                yield f"![](data:image/png;base64,{''.join(picture).strip()})"


def _printed(output: dict[str, Any]) -> str:
    """The text of an output; of a picture nothing."""
    data = output.get("data", {})
    if "image/png" in data:
        return ""
    text = "".join(output.get("text", data.get("text/plain", "")))
    return "\n".join(line.rstrip() for line in text.split("\n")).rstrip("\n") + "\n"


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
