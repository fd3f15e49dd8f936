"""Base against finetuned: answers, confidence, states, directions and probes of two runs over the same questions."""
