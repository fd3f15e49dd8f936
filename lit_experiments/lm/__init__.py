"""The language model: load it, read its states, continue text, score text. Knows nothing of stores or experiments.

Public names live in the submodules: `spec.ModelSpec`, `info.read_info`, `load.load`, `capture.capture`,
`decode.Decoder`, `sampling.Sampling`, `noise.StreamKey`, `score.token_log_probs`, `sites.resolve_sites`,
`errors.ModelError`.
"""
