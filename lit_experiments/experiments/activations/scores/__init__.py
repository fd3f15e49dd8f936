"""Scores: what a saved probe says of new texts, of each text and at each of its tokens.

lit-experiments score PROBE --texts new.jsonl --out scores.parquet
"""
