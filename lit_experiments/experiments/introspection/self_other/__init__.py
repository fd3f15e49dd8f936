"""Self against other: likeness of the passes' states, and whether a probe of confidence carries over between them."""
