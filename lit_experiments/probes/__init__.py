"""Probes: LightningModules that learn from stores.

Here the exact streaming ridge, its data, results, controls and files.
"""
