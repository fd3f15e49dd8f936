"""Interventions on the model: steering along directions of confidence, ablating them, patching answer states."""
