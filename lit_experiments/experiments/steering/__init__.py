"""Steering: does a model write otherwise when its states are moved along the direction that a probe reads?

A probe shows that something can be read from a model's states, not that the model uses it. Here the direction that the
probe reads is added to the states, in multiples of its natural spread, or taken out of them, at every token while the
model writes. If the model uses the direction, what it writes and computes later follows the strength; a random
direction of the same length at the same strengths says how much of that any push would have done.

    python collect.py --exp steering --probe PROBE --strengths '[-8,-4,0,4,8]' --prompts FILE
    lit-experiments analyze --exp steering       dose-response, the range in which text stays fluent, sample texts
"""
