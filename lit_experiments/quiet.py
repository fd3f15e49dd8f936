"""Keeps Lightning's notices off the user's screen; its errors still come through as exceptions."""

from __future__ import annotations

import logging
import warnings

_NOTICES = (
    ".*Couldn't infer the batch indices.*",  # rows carry their own ids
    ".*isinstance\\(treespec, LeafSpec\\).*",
    ".*does not have many workers.*",  # batches are lists of ids, or are read ahead in a thread
    ".*litlogger.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*Starting from v2.*tensorboardX.*",
    ".*`training_step` returned `None`.*",
)


def quiet_lightning() -> None:
    """Call before making a Trainer."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in _NOTICES:
        warnings.filterwarnings("ignore", message=message)
