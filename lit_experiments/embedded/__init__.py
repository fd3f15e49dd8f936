"""The small language model and data that ship with the package: a demonstration subject, never a scientific result."""
