"""The viewer in a real browser, with the keyboard, on a narrow screen, by night. Skipped, and it says so, where no
Chromium is on the PATH."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from lit_experiments.serving.server import Server

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
          "disable-component-update", "disable-sync")  # fmt: skip
NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"NO BROWSER: none of {', '.join(BROWSERS)} is on the PATH (Debian: apt-get install chromium)")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'"
    )
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=program, args=[f"--{flag}" for flag in _FLAGS])
        yield running
        running.close()


Open = Callable[..., Any]


@pytest.fixture
def visit(browser: Any, server: Server) -> Iterator[Open]:
    """Opens an address in a window of its own. Afterwards: no request left the loopback address, and no page had an
    error or broke its policy."""
    requests: list[str] = []
    messages: list[str] = []
    contexts = []

    def open_page(address: str, **settings: Any) -> Any:
        query = settings.pop("query", {})
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(f"{server.url}{address}{'?' if query else ''}{urlencode(query)}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert messages == []
    hosts = {urlsplit(url).hostname for url in requests if not url.startswith("data:")}
    assert hosts == {"127.0.0.1"}


def row(place: int, **query: str | int) -> dict[str, Any]:
    return {"query": {"run": "plain", "row": place, **query}}


def backgrounds(page: Any) -> list[str]:
    """The background of every token, "" for a bare one."""
    return page.eval_on_selector_all("#strip span", "spans => spans.map(span => span.style.backgroundColor)")


def overflow(page: Any) -> int:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def test_from_the_index_to_a_run_and_to_a_row(visit: Open) -> None:
    page = visit("")
    assert page.title() == "Runs in runs"
    page.get_by_role("link", name="plain", exact=True).click()
    assert page.get_by_role("heading", level=1).text_content() == "plain"
    assert page.get_by_role("list", name="Rows").locator("li").count() == 50
    page.get_by_role("searchbox", name="Find rows").fill("ROW-117")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="row-117").click()
    assert page.get_by_role("heading", level=1).text_content() == "row-117"


def test_a_page_on_disk_opens_and_its_script_runs(visit: Open) -> None:
    page = visit("rows", query={"run": "plain"})
    page.get_by_role("link", name="linear_probes").click()
    assert page.title() == "A page drawn"
    assert page.locator("#head").text_content() == "Results"


def test_tokens_are_coloured_and_say_their_numbers(visit: Open) -> None:
    page = visit("row", **row(4))
    assert page.locator("#strip").text_content() == "The old gardener waters roses"
    coloured = backgrounds(page)
    assert len(set(coloured)) > 2
    assert all(re.fullmatch(r"rgba?\(.+\)", colour) for colour in coloured)
    title = page.locator("#strip span").first.get_attribute("title")
    page.get_by_text("Every token with its number").click()
    cells = page.locator("details tbody tr").first.locator("td").all_text_contents()
    assert cells[:2] == ["0", "The"]
    assert float(cells[2]) == pytest.approx(float(title), abs=0.01)


def test_the_number_and_the_layer_are_changed_by_keyboard(visit: Open) -> None:
    page = visit("row", **row(4))
    before = backgrounds(page)
    page.locator("#number").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_url("**number=norm.resid_post**")
    assert page.evaluate("document.activeElement.id") == "number"
    assert page.locator("#layer").input_value() == "resid_post.1"
    after = backgrounds(page)
    assert after != before
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowUp")
    page.wait_for_url("**layer=resid_post.0**")
    assert backgrounds(page) != after
    page.locator("#number").focus()
    page.keyboard.press("End")
    page.wait_for_url("**number=probe.**")
    assert page.get_by_text("The training chose resid_post.1.").is_visible()


def test_arrows_go_from_row_to_row_and_keep_what_was_chosen(visit: Open) -> None:
    page = visit("row", **row(1, number="norm.resid_post", layer="resid_post.0"))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**row=2**")
    assert page.get_by_role("heading", level=1).text_content() == "row-001"
    assert page.locator("#layer").input_value() == "resid_post.0"
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**row=1&**")
    page.locator("#row").focus()
    page.keyboard.press("ArrowRight")  # inside of the number's field it moves the cursor
    assert page.get_by_role("heading", level=1).text_content() == "row-000"
    page.locator("#row").fill("120")
    page.keyboard.press("Enter")
    page.wait_for_url("**row=120**")
    assert page.get_by_role("link", name="Next").count() == 0


def test_the_first_tab_skips_and_the_focus_can_be_seen(visit: Open) -> None:
    page = visit("row", **row(2))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    order = []
    for _ in range(8):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", order
    assert order == ["Runs", "plain", "← Previous", "Next →", "row", "number", "Every token with its number", "field"]


def test_nearest_rows_are_searched_when_asked_for(visit: Open) -> None:
    page = visit("row", **row(6))
    assert page.get_by_role("list", name="Nearest rows").count() == 0
    page.get_by_role("checkbox", name="search").focus()
    page.keyboard.press("Space")
    page.wait_for_url("**near=1**")
    nearest = page.get_by_role("list", name="Nearest rows").locator("li")
    assert nearest.count() == 10
    cosines = [float(text) for text in nearest.locator("b").all_text_contents()]
    assert cosines == sorted(cosines, reverse=True)
    assert page.get_by_text("119 of 119 other rows were searched.").is_visible()
    first = nearest.first.get_by_role("link").text_content().split()[-1]
    nearest.first.get_by_role("link").click()
    assert page.get_by_role("heading", level=1).text_content() == first


def test_norms_are_drawn(visit: Open) -> None:
    page = visit("row", **row(3))
    page.locator(".chart svg").wait_for()
    assert page.locator(".chart").get_attribute("aria-label").startswith("Euclidean norm")
    assert page.locator(".chart svg").get_by_text("norm", exact=True).count() == 1


@pytest.mark.parametrize("address", ["", "rows?run=plain", "row?run=plain&row=4&near=1", "row?run=own&row=1"])
def test_a_narrow_screen_scrolls_down_only(visit: Open, address: str) -> None:
    page = visit(address, viewport=NARROW)
    if "row?" in address:
        page.locator(".chart svg").wait_for()
        assert page.locator(".chart svg").bounding_box()["width"] <= NARROW["width"]
        page.get_by_text("Every token with its number").click()
    assert overflow(page) == 0


def test_night_is_dark_and_charts_follow(visit: Open) -> None:
    ink = {}
    for scheme in ("light", "dark"):
        page = visit("row", **row(4), color_scheme=scheme)
        page.locator(".chart svg").wait_for()
        colours = page.evaluate(
            "[document.body, document.querySelector('select')].map(e => getComputedStyle(e).backgroundColor)"
        )
        ink[scheme] = (*colours, page.locator(".chart svg text").first.get_attribute("fill"))
    assert ink["light"][0] == "rgb(255, 255, 255)"
    assert ink["dark"][0] == "rgb(20, 24, 28)"
    assert all(light != dark for light, dark in zip(ink["light"], ink["dark"], strict=True))


def test_what_means_harm_is_inert(visit: Open) -> None:
    run = "harm'\"<i>&"
    for address in ("rows", "row"):
        page = visit(address, query={"run": run, "row": 1, "near": 1})
        assert "harmed" not in page.title()
        assert "</script>" in page.locator("main").text_content()
        assert page.locator("main img, main script:not([type])").count() == 0


def test_pages_of_the_folder_reach_neither_other_pages_nor_the_network(
    visit: Open, server: Server, folder: Path
) -> None:
    reading = "fetch('/rows?run=plain').then(() => 'read', () => 'refused').then(word => document.title = word)"
    (folder / "spy.html").write_text(
        f"<!doctype html><link rel=icon href=data:,><title>spy</title><script>{reading}</script>"
    )
    context = visit("").context
    page = context.new_page()
    page.goto(f"{server.url}spy.html")
    page.wait_for_function("document.title != 'spy'")
    assert page.title() == "refused"


def test_pages_work_without_scripts(visit: Open) -> None:
    page = visit("row", **row(4), java_script_enabled=False)
    page.locator("#number").select_option("norm.resid_post")
    page.get_by_role("button", name="Show").first.click()
    page.wait_for_url("**number=norm.resid_post**")
    assert page.locator("#strip span").first.get_attribute("style").startswith("background")
