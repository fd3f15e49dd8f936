"""Measures on simulated data what the package's intervals and tests hold."""

from lit_experiments.selftest.run import FULL, QUICK, Extent, SelftestResult, selftest
from lit_experiments.selftest.tables import markdown

__all__ = ["FULL", "QUICK", "Extent", "SelftestResult", "markdown", "selftest"]
