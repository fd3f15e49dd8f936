"""What the analysis of clusters finds. Lists over completions are over the kept ones of a problem, in order."""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.experiments.geometry.judge import Opinion
from lit_experiments.statistics import Estimate
from lit_experiments.statistics.clusters import Choice


@dataclass(frozen=True)
class Plane:
    """Completions along their two leading principal components: scores [completion, component]; shares of variance."""

    scores: list[list[float]]
    shares: list[float]


@dataclass(frozen=True)
class Partition:
    """Clusters of completions, the largest first.

    completions, distinct_texts, number: how many completions, texts, clusters; choice: why so many, None where the
    number was given; sizes: by cluster; silhouette: mean, NaN for one cluster; labels: [completion] cluster; methods:
    [completion], None where the source knows none.
    rand, rand_of_lengths: agreement with the methods (adjusted Rand index), and that of clusters of lengths alone; NaN
    where the completions do not use both methods.
    """

    completions: int
    distinct_texts: int
    number: int
    choice: Choice | None
    sizes: list[int]
    silhouette: float
    rand: float
    rand_of_lengths: float
    labels: list[int]
    methods: list[str] | None
    plane: Plane


@dataclass(frozen=True)
class ProblemClusters(Partition):
    """Of one problem. places: [completion] number among all of the problem's; representatives: [cluster] which of the
    kept completions is closest to the centroid; texts: theirs; both_methods: the kept ones use both."""

    problem_id: str
    places: list[int]
    representatives: list[int]
    texts: list[str]
    both_methods: bool


@dataclass(frozen=True)
class LayerClusters:
    """Clusters at one site: of each problem, means over problems (several: the share with more than one cluster), and
    of all problems together, None where there is but one."""

    site: str
    problems: list[ProblemClusters]
    clusters: Estimate
    several: Estimate
    silhouette: Estimate
    rand: Estimate
    rand_of_lengths: Estimate
    together: Partition | None


@dataclass(frozen=True)
class JudgedPair:
    """A pair that was shown. kind: between or within clusters; problem: which of those clustered; clusters: of the two
    completions; verdict: of both orders together; agree: both said the same; opinions: in either order."""

    kind: str
    problem: int
    clusters: tuple[int, int]
    completions: tuple[int, int]
    verdict: str
    agree: bool
    opinions: tuple[Opinion, Opinion]


@dataclass(frozen=True)
class JudgeFindings:
    """between, within: shares judged different; distinctness: the first minus the second; verdicts: by kind of pair,
    how many of each."""

    who: str
    between: Estimate
    within: Estimate
    distinctness: Estimate
    verdicts: dict[str, dict[str, int]]
    comparisons: list[JudgedPair]


@dataclass(frozen=True)
class ClusteringResult:
    """keep: which completions are clustered; layers: the first is shown and judged; judge: None where none was asked,
    or could be had, in which case judge_failure says why."""

    keep: str
    verdicts: dict[str, int]
    problems_asked: int
    problems_clustered: int
    min_completions: int
    problems_with_too_few: int
    completions_too_short: int
    layers: list[LayerClusters]
    judge: JudgeFindings | None
    judge_failure: str | None

    @property
    def problems(self) -> list[ProblemClusters]:
        """Those of the first layer."""
        return self.layers[0].problems
