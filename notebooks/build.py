"""Executes the notebooks from their text form and writes them, outputs and all, beside it: `make notebooks`.

The first cells of each are made here: the link that opens it in Colab, and the installation, which does nothing where
the package is. Needs `pip install '.[notebooks]'`.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
REPOSITORY = "lit-experiments/lit_experiments"
"""Where the notebooks and the package are on GitHub."""
NAMES = ("tutorial", "tempnorm", "reading", "steering")
COLAB = f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/notebooks"
_TEMPORARY = re.compile(re.escape(tempfile.gettempdir()) + r"/\w+")
_INSTALL = f"""import importlib.util
import subprocess
import sys

if importlib.util.find_spec("lit_experiments") is None:
    source = "lit-experiments @ git+https://github.com/{REPOSITORY}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", source, "matplotlib"], check=True)"""


def main() -> None:
    """Builds those that are named, or all; as many at once as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for line in pool.map(build, sys.argv[1:] or NAMES):
            print(line, flush=True)


def build(name: str) -> str:
    """Executes one and writes it; returns a line that says how long it took."""
    start = time.monotonic()
    notebook = read(name)
    execute(notebook)
    nbformat.write(notebook, HERE / f"{name}.ipynb")
    return f"{name}: {time.monotonic() - start:.0f} s"


def read(name: str) -> nbformat.NotebookNode:
    """A notebook from its text form, with the cells that all have, without outputs."""
    notebook = jupytext.read(HERE / f"{name}.py")
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    )
    link = f"[Open in Colab]({COLAB}/{name}.ipynb)"
    notebook.cells[1:1] = [nbformat.v4.new_markdown_cell(link), nbformat.v4.new_code_cell(_INSTALL)]
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", nbformat.from_dict({})
    return notebook


def execute(notebook: nbformat.NotebookNode) -> None:
    """Runs all cells in an empty folder. Raises CellExecutionError with the cell and its traceback."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            coalesce_streams=True,
        ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":  # progress bars are of no use on a page
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = _TEMPORARY.sub("/tmp/run", output.text)
    notebook.metadata.pop("language_info", None)


if __name__ == "__main__":
    main()
