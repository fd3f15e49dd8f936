"""The vLLM engine: one model over several devices, many texts at a time. Nothing here is imported without it."""
