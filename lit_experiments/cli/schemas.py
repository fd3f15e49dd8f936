"""Writes the JSON Schema of every task's result, and of audits: python -m lit_experiments.cli.schemas docs/schemas"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lit_experiments.cli import configs
from lit_experiments.cli.class_values import import_class


def schemas() -> dict[str, dict[str, Any]]:
    """The name of each train and analyze experiment -> the JSON Schema of its result.json; audit -> of audit.json."""
    from lit_experiments.claims.audit import Audit
    from lit_experiments.tasks.result_files import schema

    paths = {name: path for verb in ("train", "analyze") for name, path in configs.available(verb).items()}
    tasks = {name: import_class(str(configs.read_yaml(path)["class_path"])) for name, path in paths.items()}
    return {**{name: schema(task.result_type) for name, task in tasks.items()}, "audit": schema(Audit)}


def write_schemas(folder: Path) -> None:
    """Writes NAME.json for each into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in schemas().items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
