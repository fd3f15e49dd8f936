"""Directions of confidence: from the states of the least to those of the most confident questions, layer by layer."""
