"""What goes in comes out: every dtype, ragged and fixed fields, with and without layers, on every backend."""

import numpy as np
import pytest

import stores
from stores.schema import DTYPES

from .samples import SCHEMA, assert_rows, create, records, write

SHAPES = {
    "ragged, layers first": (("layer", "token", "hidden"), (2, None, 8)),
    "two leading dims": (("site", "layer", "token", "hidden"), (2, 2, None, 8)),
    "ragged": (("token", "hidden"), (None, 8)),
    "fixed": (("sample", "hidden"), (None, 8)),
    "fixed, layers first": (("layer", "sample", "hidden"), (2, None, 8)),
    "fixed, long tail": (("sample", "draw", "step"), (None, 5, 7)),
}
BFLOAT16 = np.arange(256, dtype=np.float32) - 128  # exact in bfloat16


def made(dtype, shape, rng):
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype == "bfloat16":
        return rng.choice(BFLOAT16, shape)
    if dtype == "float16":
        return rng.standard_normal(shape).astype(np.float16)
    if "float" in dtype:
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_in_every_shape(place, dtype):
    rng = np.random.default_rng(0)
    fields = [stores.Field(f"f{i}", dims, shape, dtype, "1", "") for i, (dims, shape) in enumerate(SHAPES.values())]
    schema = stores.Schema(tuple(fields), ())
    stores.create_store(place.path, schema, {}, {}, place.backend)
    lengths = np.array([4, 0, 9, 1])
    arrays = {}
    for f in fields:
        n = 14 if f.ragged else 4
        arrays[f.name] = made(dtype, tuple(n if size is None else size for size in f.shape), rng)
    rows = [{"sample_id": str(i), "sample_index": i} for i in range(4)]
    with stores.PartWriter(place.path, 0, 1 << 30, 1e9) as writer:
        writer.append(stores.Records(rows, arrays, {"token": lengths}))
    store = stores.open_store(place.path)
    for f in fields:
        stored = store[f.name].read()
        np.testing.assert_array_equal(stored, arrays[f.name].astype(stored.dtype), err_msg=str(f.dims))
        assert stored.dtype == (np.float32 if dtype in ("float16", "bfloat16") else np.dtype(dtype))


def test_rows_of_several_commits_and_parts_come_in_order(place):
    create(place.path, place.backend)
    write(place.path, [[7, 3], [11, 0]], rank=0, flush_bytes=1)
    write(place.path, [[5, 2, 1], [4]], rank=1, flush_bytes=1)
    write(place.path, [[6, 10, 8, 9]], rank=0)
    store = stores.open_store(place.path)
    assert len(store.segments) == 5
    assert_rows(store, range(12))


def test_values_float16_cannot_hold_come_back(place):
    create(place.path, place.backend)
    batch = records(range(4))
    big = batch.arrays["resid_post"]
    big *= 10.0 ** np.random.default_rng(0).integers(-20, 20, (*big.shape[:2], 1))
    with stores.PartWriter(place.path, 0, 1 << 30, 1e9) as writer:
        writer.append(batch)
    view = stores.open_store(place.path)["resid_post"]
    peak = np.abs(big).max(axis=-1, keepdims=True)
    assert peak.max() > 65504
    assert (np.abs(view.read() - big) <= peak * 2**-10).all()
    np.testing.assert_array_equal(view.read(layer=1, hidden=2), view.read()[1, :, 2])
    np.testing.assert_array_equal(view.read(layer=[2, 0], hidden=slice(1, 3)), view.read()[[2, 0], :, 1:3])
    raw, exponents = view.read(raw=True), view.exponents()
    assert raw.dtype == np.float16
    np.testing.assert_array_equal(np.ldexp(raw.astype(np.float32), exponents[..., None].astype(int)), view.read())


def test_given_exponents_are_kept(place):
    create(place.path, place.backend)
    batch = records([1, 2])
    half = batch.arrays["resid_post"].astype(np.float16)
    exponents = np.full(half.shape[:-1], 3, np.int8)
    batch.arrays["resid_post"], batch.exponents = half, {"resid_post": exponents}
    with stores.PartWriter(place.path, 0, 1 << 30, 1e9) as writer:
        writer.append(batch)
    np.testing.assert_array_equal(stores.open_store(place.path)["resid_post"].read(), half.astype(np.float32) * 8)


def test_an_empty_store_reads_as_empty(place):
    store = create(place.path, place.backend)
    assert len(store) == 0
    assert store.table().num_rows == 0
    assert store.table().schema.names[:2] == ["sample_id", "sample_index"]
    assert store["resid_post"].read().shape == (3, 0, 8)
    assert list(store.iter_rows()) == []
    assert stores.verify(place.path) == []


def test_rows_without_any_token(place):
    create(place.path, place.backend)
    write(place.path, [[5, 11]])  # both have length 2; then two of length 0
    empty = [i for i in range(40) if (i * 7 + 3) % 6 == 0][:2]
    write(place.path, [empty])
    store = stores.open_store(place.path)
    assert_rows(store, [5, 11, *empty])
    assert stores.verify(place.path) == []


def test_schema_and_fingerprint_come_back(place):
    created = create(place.path, place.backend)
    store = stores.open_store(place.path)
    assert store.schema == SCHEMA
    assert store.fingerprint == created.fingerprint
    assert store.provenance == {"made": "by a test"}
    assert store.backend == place.backend


def test_many_chunks_and_uneven_batches(place):
    """Several chunks per layer, batches that straddle them, and a last chunk that isn't full."""
    schema = stores.Schema((stores.Field("x", ("layer", "token", "hidden"), (2, None, 512), "float16", "1", ""),), ())
    stores.create_store(place.path, schema, {}, {}, place.backend)
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 200, 40)
    batches = [rng.standard_normal((2, n, 512)).astype(np.float16) for n in lengths]
    with stores.PartWriter(place.path, 0, 1 << 30, 1e9) as writer:
        for i, values in enumerate(batches):
            rows = [{"sample_id": str(i), "sample_index": i}]
            writer.append(stores.Records(rows, {"x": values}, {"token": np.array([values.shape[1]])}))
    view = stores.open_store(place.path)["x"]
    whole = np.concatenate(batches, axis=1)
    np.testing.assert_array_equal(view.read(raw=True), whole)
    order = rng.permutation(40)
    np.testing.assert_array_equal(view.read(order, raw=True), np.concatenate([batches[i] for i in order], axis=1))
    assert view.shape[1] > 2 * 256
