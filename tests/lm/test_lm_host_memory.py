"""Host memory is used again: what a forward pass frees stays with the process."""

import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource, torch
from lit_experiments.lm.load import load
from lit_experiments.lm.spec import ModelSpec

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        held = [torch.empty(5_000_000).fill_(1) for _ in range(5)]  # 100 MB
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

ctypes.CDLL(None).mallopt(-3, 128 << 10)  # M_MMAP_THRESHOLD: the worst case, in which every large block is given back
before = faults()
load(ModelSpec("embedded", None, None, "float32", "auto"), "cpu")
faults()
print(before, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is asked")
def test_a_loaded_model_keeps_the_memory_that_its_passes_free():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    without, kept = map(int, done.stdout.split())
    assert without > 100_000
    assert kept < 1_000
