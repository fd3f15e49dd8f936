"""Files of claims that people wrote: for `collect --claims`, which registers them, and `audit --claims`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_experiments.cli import strict_yaml
from lit_experiments.cli.places import local_path
from lit_experiments.errors import UserError

if TYPE_CHECKING:
    from lit_experiments.claims import Claim


def read_claims(name: str) -> list[Claim]:
    """The claims of a YAML file. Raises UserError for one that cannot be read, or holds none."""
    from lit_experiments.claims.claim import claims_from

    path = local_path("--claims", name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise UserError(f"--claims {name} cannot be read: {reason}.\nNext: name a YAML file of claims.") from error
    return claims_from(strict_yaml.load(text, name), name)


def registered(name: str | None) -> dict[str, str]:
    """What a new store records of a file of claims: its hash as `claims`; nothing without a file."""
    if name is None:
        return {}
    from lit_experiments.claims.claim import claims_hash

    return {"claims": claims_hash(read_claims(name))}
