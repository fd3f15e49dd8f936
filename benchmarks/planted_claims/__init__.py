"""Synthetic claims of known truth: stores whose states, texts and labels are made so that one verdict is right."""
