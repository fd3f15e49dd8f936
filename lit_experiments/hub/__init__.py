"""Runs, probes and directions on the Hugging Face Hub: what of a folder goes there, the card that says what it is, and
the way there and back. Knows no experiment.
"""
