"""`audit`: the claims of a run's trained tasks, judged by one rule."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_experiments.cli import configs
from lit_experiments.cli.claims_file import read_claims
from lit_experiments.cli.verb_parser import VerbParser
from lit_experiments.cli.verbs import say
from lit_experiments.cli.working_copy import run_place, working_copy
from lit_experiments.errors import EXIT_DONE, UserError

if TYPE_CHECKING:
    from lit_experiments.claims import Judged

FOLDER, FILE = "audit", "audit.json"
_TEXT = "Judges every claim of a run's trained tasks by one rule; writes RUN/audit/audit.json and a page."


def audit(argv: list[str]) -> int:
    """Writes the audit of a run and prints it."""
    parser = VerbParser("audit", _TEXT)
    parser.add_argument("run", metavar="RUN", help="folder of a run with finished trainings")
    parser.add_argument("--claims", metavar="FILE", help="YAML list of claims to judge (default: those of the tasks)")
    words = parser.parse_args(argv)
    run = run_place("RUN", words.run)
    with working_copy(run, words.run):
        return _audit(run, words.claims)


def _audit(run: Path, claims_file: str | None) -> int:
    from stores import is_store, open_store

    if not is_store(run / "store"):
        raise UserError(f"{run.absolute()} holds no store.\nNext: point RUN at the folder of a collection.")
    claims_to_judge = None if claims_file is None else read_claims(claims_file)
    from lit_experiments.claims.audit import Audit, audit_page, audited, matched
    from lit_experiments.claims.claim import claims_hash
    from lit_experiments.plain import write_json
    from lit_experiments.reports.terminal import terminal_text
    from lit_experiments.reports.write import write_page
    from lit_experiments.tasks.source import source_of

    store = open_store(run / "store")
    items = judged_claims(run, store)
    if not items:
        raise UserError(
            f"{run.absolute()} holds no finished training with claims.\nNext: lit-experiments train --exp "
            f"linear_probes --run {run}"
        )
    claims = audited(items) if claims_to_judge is None else matched(claims_to_judge, items, str(claims_file))
    tasks = [*dict.fromkeys(claim.task for claim in claims)]
    digest = None if claims_to_judge is None else claims_hash(claims_to_judge)
    content = Audit(str(run), claims, tasks, digest, store.provenance.get("claims"))
    out = run / FOLDER
    out.mkdir(exist_ok=True)
    write_json(out / FILE, content)
    page = audit_page(content)
    path = write_page(page, out, source_of(run, out, store, "audit"))
    say(f"{terminal_text(page)}\n\nAudit:   {out / FILE}\nReport:  {path}")
    return EXIT_DONE


def judged_claims(run: Path, store: Any) -> list[tuple[Judged, bool]]:
    """(claim with evidence, whether the store has changed since) of every finished training whose result has claims.

    Raises:
        UserError: a result that another version wrote.
    """
    from lit_experiments.claims import Judged
    from lit_experiments.cli.class_values import import_class
    from lit_experiments.tasks.result_files import RESULT, structured

    out: list[tuple[Judged, bool]] = []
    for name, config in configs.available("train").items():
        folder = run / name
        if not (folder / RESULT).is_file() or not (folder / "results.json").is_file():
            continue
        task = import_class(str(configs.read_yaml(config)["class_path"]))
        if "claims" not in {field.name for field in fields(task.result_type)}:
            continue
        content = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        identity = json.loads((folder / "results.json").read_text(encoding="utf-8"))["identity"]
        try:
            claims = structured(content["claims"], list[Judged])
        except (ValueError, KeyError) as error:
            raise UserError(
                f"{folder / RESULT} holds no claims that this version reads.\nNext: lit-experiments train --exp "
                f"{name} --run {run} --restart"
            ) from error
        out += [(claim, _stale(identity, store)) for claim in claims]
    return out


def _stale(identity: dict[str, Any], store: Any) -> bool:
    import hashlib

    ids = hashlib.sha256("\0".join(store.sample_ids).encode()).hexdigest()
    return bool(identity.get("rows") != len(store) or identity.get("ids") != ids)
