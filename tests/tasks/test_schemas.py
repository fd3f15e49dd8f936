"""The schemas in docs/schemas are those of the results that the tasks write."""

import json
from pathlib import Path

from lit_experiments.cli import configs
from lit_experiments.cli.schemas import schemas

SHIPPED = Path(__file__).resolve().parents[2] / "docs" / "schemas"


def test_every_task_ships_the_schema_of_its_result() -> None:
    shipped = {path.stem: json.loads(path.read_text()) for path in SHIPPED.glob("*.json")}
    assert shipped == schemas(), "python -m lit_experiments.cli.schemas docs/schemas"
    assert shipped.keys() == configs.available("train").keys() | configs.available("analyze").keys() | {"audit"}
