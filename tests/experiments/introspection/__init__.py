"""Tests of study 3."""
