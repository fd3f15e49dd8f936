"""What Transformers would print while it reads a model: collected, so that it is looked at and not hushed.

Owns the list of its sentences that say nothing new. Knows no model.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as transformers_logging

# Looked at elsewhere, or about something that is not done here.
_KNOWN = re.compile(
    r"LOAD REPORT"  # missing and unexpected weights: load.py
    r"|`torch_dtype` is deprecated"
    r"|You are using a model of type"
    r"|rope_parameters\['original_max_position_embeddings'\]` field, to be used together"
    r"|generation flags are not valid"  # sampling settings: folder.py
    r"|Sliding Window Attention is enabled but not implemented"  # the mask is made for every implementation
)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = " ".join(record.getMessage().split())
        if not _KNOWN.search(line) and line not in self.lines:
            self.lines.append(line)


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Yields the list that Transformers' warnings go to for the time of the block; no progress bars meanwhile."""
    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    collector = _Collector()
    transformers_logging.set_verbosity(logging.WARNING)
    transformers_logging.disable_default_handler()
    transformers_logging.add_handler(collector)
    transformers_logging.disable_progress_bar()
    try:
        yield collector.lines
    finally:
        transformers_logging.remove_handler(collector)
        transformers_logging.enable_default_handler()
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
