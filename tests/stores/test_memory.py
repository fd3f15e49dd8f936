"""Memory stays flat: the writer holds about flush_bytes, the block reader about a block, whatever the number of
samples.
"""

from __future__ import annotations

import tracemalloc

import numpy as np

import stores

HIDDEN = 256
SCHEMA = stores.Schema((stores.Field("x", ("layer", "token", "hidden"), (4, None, HIDDEN), "float16", "1", ""),), ())
FLUSH = 2 << 20


def peak_of(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def append(writer, index):
    values = np.random.default_rng(index).standard_normal((4, 100, HIDDEN)).astype(np.float16)
    row = {"sample_id": str(index), "sample_index": index}
    writer.append(stores.Records([row], {"x": values}, {"token": np.array([100])}))


def fill(path, backend, n):
    stores.create_store(path, SCHEMA, {}, {}, backend)
    with stores.PartWriter(path, 0, FLUSH, 1e9) as writer:
        for index in range(n):
            append(writer, index)


def test_writing_and_reading_in_blocks_takes_the_same_memory_for_more_samples(local):
    fill(local.path + "-warm", local.backend, 12)
    few = peak_of(lambda: fill(local.path + "-few", local.backend, 30))
    many = peak_of(lambda: fill(local.path, local.backend, 120))  # 25 MB of payload
    assert many < few * 1.3
    assert many < 4 * FLUSH
    view = stores.open_store(local.path)["x"]
    assert len(list(view.iter_blocks(1 << 20, layer=0))) > 10
    read = peak_of(lambda: [values.sum() for _, values, _ in view.iter_blocks(1 << 20, layer=0)])
    assert read < 6 << 20
