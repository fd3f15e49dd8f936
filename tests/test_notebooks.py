"""The notebooks are what their text forms say, ran without an error, and are pages of the documentation.

`make notebooks` executes them; that takes a minute.
"""

import json
import sys
from pathlib import Path

import jupytext
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks"
sys.path[:0] = [str(FOLDER), str(ROOT / "docs")]
import build  # noqa: E402
import site_hooks  # noqa: E402


def _sources(cells):
    return [(cell["cell_type"], "".join(cell["source"])) for cell in cells]


@pytest.mark.parametrize("name", build.NAMES)
def test_a_notebook_is_its_text_form_executed(name):
    written = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert _sources(written["cells"]) == _sources(build.read(name).cells), "run `make notebooks`"
    code = [cell for cell in written["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == [*range(1, len(code) + 1)]
    assert not [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"]
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell["outputs"])


@pytest.mark.parametrize("name", build.NAMES)
def test_a_notebook_opens_in_colab_installs_and_takes_another_model_in_one_line(name):
    cells = build.read(name).cells
    assert f"/{name}.ipynb" in cells[1].source
    assert cells[2].cell_type == "code"
    assert 'find_spec("lit_experiments") is None' in cells[2].source
    exec(cells[2].source, {})  # installs nothing where the package is
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert sum(source.startswith('MODEL = "embedded"') for source in code) == 1
    assert not any('"embedded", "embedded"' in source for source in code)


def test_every_notebook_is_a_page():
    assert {path.stem for path in FOLDER.glob("*.py")} - {"build"} == set(build.NAMES)
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(nav)
    for name in build.NAMES:
        assert f"notebooks/{name}.md" in nav
        page = "\n\n".join(site_hooks.notebook(name))
        assert page.startswith("# ")
        assert "![](data:image/png;base64," in page
        assert "```text\n" in page
        assert page.count("```") % 2 == 0


def test_an_error_in_a_cell_is_an_error():
    from nbclient.exceptions import CellExecutionError

    notebook = jupytext.reads("# %%\n1 + 1\n\n# %%\n1 / 0\n", fmt="py:percent")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        build.execute(notebook)
