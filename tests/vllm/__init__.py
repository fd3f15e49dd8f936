"""Tests of `--engine vllm`. They run where vLLM is installed: `make test-vllm`."""
