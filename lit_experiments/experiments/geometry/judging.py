"""Which judge is asked, from an analysis' settings, and asking it. Owns what a user can set; knows no clusters."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lit_experiments.experiments.geometry.judge import Comparison, Judge, Pair, chat_judge, check_prompt, compare_all
from lit_experiments.experiments.geometry.judge_cache import ReplyCache
from lit_experiments.experiments.geometry.judge_endpoint import Endpoint, EndpointSettings
from lit_experiments.ranges import above, at_least


@dataclass(frozen=True)
class JudgeSettings:
    """kind: "endpoint" or "local"; template: with {question}, {first}, {second}; parallel: requests at a time."""

    kind: Literal["endpoint", "local"]
    endpoint: EndpointSettings
    template: str
    parallel: int

    def __post_init__(self) -> None:
        check_prompt(self.template)
        at_least(1, judge_parallel=self.parallel, judge_tokens=self.endpoint.tokens)
        at_least(0, judge_retries=self.endpoint.retries, judge_backoff=self.endpoint.backoff)
        above(0, judge_timeout=self.endpoint.timeout, judge_minutes=self.endpoint.minutes)


class Panel:
    """A judge that is ready to be asked. `who`: its name, and what asking has cost, for the page."""

    def __init__(self, settings: JudgeSettings, cache: Path) -> None:
        """Finds the key, or loads the local model.

        Raises:
            UserError, ModelError: no key, no such endpoint or model.
        """
        self.settings, self.model = settings, settings.endpoint.model
        self._endpoint: Endpoint | None = None
        if settings.kind == "endpoint":
            self._endpoint = Endpoint(settings.endpoint, ReplyCache(cache))
            self._judge: Judge = chat_judge(self._endpoint.ask, settings.template)
        else:
            self._judge = _local(self.model, settings.template)

    def ask(self, pairs: Sequence[Pair]) -> list[Comparison]:
        """A comparison for each pair.

        Raises:
            JudgeUnavailableError, UserError: see `Endpoint.ask`.
        """
        if self._endpoint is None:  # one forward pass at a time
            return compare_all(self._judge, pairs, 1, threading.Event())
        try:
            return compare_all(self._judge, pairs, self.settings.parallel, self._endpoint.stop)
        finally:
            self._endpoint.close()

    @property
    def who(self) -> str:
        """The judge, and how often it was asked."""
        if self._endpoint is None:
            return f"{self.model} on this machine"
        made, known = self._endpoint.requests, self._endpoint.cache.hits
        return f"{self.model} at {self.settings.endpoint.base_url} ({made} requests, {known} replies known before)"


def _local(model: str, template: str) -> Judge:
    import torch

    from lit_experiments.experiments.geometry.judge_local import LocalJudge
    from lit_experiments.lm.load import load
    from lit_experiments.lm.spec import ModelSpec

    device, dtype = ("cuda", "bfloat16") if torch.cuda.is_available() else ("cpu", "float32")
    return LocalJudge(load(ModelSpec(model, None, None, dtype, "auto"), device), template)
