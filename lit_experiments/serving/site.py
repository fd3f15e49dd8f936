"""Which page an address is: the index, the rows of a run, one row, or a file of the folder."""

from __future__ import annotations

import threading
from http import HTTPStatus
from pathlib import Path

from lit_experiments.errors import UserError
from lit_experiments.reports.index import index_body, read_run
from lit_experiments.serving.answers import Answer, FileAnswer, Refused
from lit_experiments.serving.document import ASSETS, asset_answer, document, paragraphs
from lit_experiments.serving.files import address_parts, file_at
from lit_experiments.serving.list_page import list_page
from lit_experiments.serving.row_page import row_page
from lit_experiments.serving.runs import OpenStores, Run, runs_in
from lit_experiments.serving.view import ROW, ROWS, View, view_of
from stores import StoreError

HOME = ("Runs", "/")


class Site:
    """The pages of a folder, read anew for every request. Raises OSError for a folder that cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.root = folder.resolve(strict=True)
        self._stores = OpenStores()
        self._one_at_a_time = threading.Lock()  # stores remember what they read, and memory stays that of one page

    def answer(self, address: str, query: str) -> Answer | FileAnswer:
        """Raises Refused where there is nothing at the address."""
        if address.startswith(ASSETS):
            asset = asset_answer(address.removeprefix(ASSETS))
            if asset is None:
                raise Refused(HTTPStatus.NOT_FOUND, "There is no such file.")
            return asset
        if address == "/":
            return self._index()
        if address in (ROWS, ROW):
            return self._page(address, view_of(query))
        parts = address_parts(address)
        if len(parts) == 1 and parts[0] in runs_in(self.root):
            location = View(run=parts[0]).address(ROWS)
            return Answer(b"", status=HTTPStatus.SEE_OTHER, location=location)
        return file_at(self.root, address)

    def refusal(self, refused: Refused) -> Answer:
        """The page that says why there is none."""
        body = f"<h1>{refused.status.phrase}</h1>{paragraphs(str(refused))}"
        page = document(refused.status.phrase, body, [HOME])
        return Answer(page.content, page.kind, refused.status)

    def _index(self) -> Answer:
        runs = {run.folder: run for run in runs_in(self.root).values()}
        title = f"Runs in {self.root.name}"
        if not runs:
            body = f"<h1>{title}</h1>" + paragraphs(
                "There is no run in this folder yet.\nNext: lit-experiments run tempnorm, then load this page again."
            )
            return document(title, body)
        entries = [read_run(run.folder, run.store) for run in runs.values()]
        body = index_body(self.root, entries, lambda entry: View(run=runs[entry.folder].name).address(ROWS))
        return document(title, body)

    def _page(self, address: str, view: View) -> Answer:
        run = self._run(view.run)
        try:
            with self._one_at_a_time:
                store = self._stores.get(run.store)
                return list_page(run, store, view) if address == ROWS else row_page(run, store, view)
        except (StoreError, UserError) as error:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error

    def _run(self, name: str) -> Run:
        runs = runs_in(self.root)
        if name not in runs:
            known = ", ".join(runs) or "none"
            raise Refused(HTTPStatus.NOT_FOUND, f"There is no run {name!r:.80} in this folder. Runs: {known:.400}.")
        return runs[name]
