"""Collect what a language model computes, and learn from it."""
