"""Pure functions on numpy arrays: estimates with intervals, scores, variance components, corrections."""

from lit_experiments.statistics.bootstrap import GroupBootstrap
from lit_experiments.statistics.correlations import Correlation, correlation
from lit_experiments.statistics.equivalence import equivalent
from lit_experiments.statistics.estimate import LEAST_GROUPS, LEVEL, Estimate
from lit_experiments.statistics.logspace import log_mean_exp, log_variance_exp
from lit_experiments.statistics.max_t import max_t
from lit_experiments.statistics.multiple import holm
from lit_experiments.statistics.pairs import Paired, paired
from lit_experiments.statistics.power import detectable
from lit_experiments.statistics.scores import mean_absolute_error, mean_squared_error, pearson, r_squared, spearman
from lit_experiments.statistics.variance import OneWay, one_way

__all__ = [
    "LEAST_GROUPS",
    "LEVEL",
    "Correlation",
    "Estimate",
    "GroupBootstrap",
    "OneWay",
    "Paired",
    "correlation",
    "detectable",
    "equivalent",
    "holm",
    "log_mean_exp",
    "log_variance_exp",
    "max_t",
    "mean_absolute_error",
    "mean_squared_error",
    "one_way",
    "paired",
    "pearson",
    "r_squared",
    "spearman",
]
