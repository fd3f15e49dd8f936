"""Claims: who reads what from which states beyond what, the numbers that decide, and the one rule that judges."""

from lit_experiments.claims.claim import Claim
from lit_experiments.claims.evidence import Control, Evidence, Grouping, Twins
from lit_experiments.claims.rule import Judged, Verdict, judged
from lit_experiments.claims.untested import untested

__all__ = ["Claim", "Control", "Evidence", "Grouping", "Judged", "Twins", "Verdict", "judged", "untested"]
