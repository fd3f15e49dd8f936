"""The pages of the documentation say what the code does; `make docs` builds them and checks their links."""

import re
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from stores import Store, open_store

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))
import site_hooks  # noqa: E402

SOURCES = {page: page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))}


def _pages(nav: list[object]) -> set[str]:
    pages = set()
    for item in nav:
        value = next(iter(item.values())) if isinstance(item, dict) else item
        pages |= _pages(value) if isinstance(value, list) else {str(value)}
    return pages


def test_every_page_is_in_the_contents() -> None:
    contents = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert _pages(contents) == {str(page.relative_to(DOCS)) for page in SOURCES}


def test_messages_that_troubleshooting_explains_are_messages_of_the_code() -> None:
    table = SOURCES[DOCS / "guides" / "troubleshooting.md"]
    messages = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(messages) > 5
    code = "".join(path.read_text(encoding="utf-8") for folder in ("lit_experiments", "stores")
                   for path in (ROOT / folder).rglob("*.py"))  # fmt: skip
    joined = re.sub(r'"\s*\n\s*f?"', "", code)
    assert not [message for message in messages if message not in joined]


def test_the_reference_has_every_option_of_an_experiment() -> None:
    reference = "\n".join(site_hooks.options())
    for words in (
        "### collect --exp tempnorm",
        "--gen_length INT",
        "### train --exp linear_probes",
        "--batch_tokens INT",
    ):
        assert words in reference
    assert "## selftest" in reference
    assert str(ROOT) not in reference


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    run = tmp_path_factory.mktemp("read") / "tempnorm"
    command = ["collect", "--exp", "tempnorm", "--limit", "24", "--run", str(run), "--accelerator", "cpu"]
    assert main(command) == EXIT_DONE
    return open_store(run / "store")


TABS = re.findall(
    r'^=== "([^"]+)"\n\n    ```python\n(.*?)^    ```', SOURCES[DOCS / "guides" / "stores.md"], re.M | re.S
)


@pytest.mark.parametrize(("tool", "code"), TABS, ids=[tool for tool, _ in TABS])
def test_a_store_is_read_by_other_tools_as_the_guide_says(tool: str, code: str, store: Store) -> None:
    if tool in ("polars", "DuckDB"):
        pytest.importorskip(tool.lower())
    names: dict[str, object] = {"store": store}
    exec(compile(textwrap.dedent(code), tool, "exec"), names)
    made = next(names[name] for name in ("loader", "array", "dataset", "table", "rows") if name in names)
    assert len(made) in (1, 10, 24)  # type: ignore[arg-type]
