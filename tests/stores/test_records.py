"""Batches that don't fit are refused with both sides of the mismatch; NaN is named by sample, site and position."""

import numpy as np
import pytest

import stores

from .samples import assert_rows, create, length, records


@pytest.fixture
def writer(place):
    create(place.path, place.backend)
    with stores.PartWriter(place.path, 0, 1 << 30, 1e9) as made:
        yield made


def change_array(name, change):
    def apply(batch):
        batch.arrays[name] = change(batch.arrays[name])

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change_array("start", lambda a: a[:, :, :7]), r"shape \(3, 2, 7\), expected \(3, 2, 8\)"),
        (change_array("resid_post", lambda a: a[:, :-1]), r"shape \(3, 4, 8\), expected \(3, 5, 8\).*sum of lengths"),
        (change_array("start", lambda a: a.astype(np.complex64)), "complex64 don't fit the declared float32"),
        (change_array("resid_post", lambda a: a.astype(np.int32)), "takes float16, float32 or float64, found int32"),
        (lambda b: b.arrays.pop("ids"), "lack the array 'ids'"),
        (lambda b: b.arrays.update(id=b.arrays["ids"]), "did you mean 'ids'"),
        (lambda b: b.lengths.clear(), "lack the lengths entry 'token'"),
        (lambda b: b.lengths.update(token=np.array([7])), r"shape \(2,\), found shape \(1,\)"),
        (lambda b: b.lengths.update(token=np.array([8, -1])), "integer >= 0"),
        (lambda b: b.exponents.update(resid_post=np.zeros(3, np.int8)), "exponents go with float16"),
        (lambda b: b.rows[1].pop("text"), "'sample-3' lacks text"),
        (lambda b: b.rows[1].update(txt="x"), "did you mean 'text'"),
        (lambda b: b.rows[1].update(count="x"), "'sample-3', column 'count': 'x' is no int64"),
        (lambda b: b.rows[1].update(options={1, 2}), "'sample-3', column 'options': not JSON"),
        (lambda b: b.rows[1].update(sample_id=""), "non-empty string"),
        (lambda b: b.rows[1].update(sample_index=1.5), "must be an integer, found 1.5"),
        (lambda b: b.rows[1].update(sample_id="sample-2"), "'sample-2' was given twice"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_rest_is_kept(writer, place, damage, message):
    writer.append(records([0, 1]))
    batch = records([2, 3])
    damage(batch)
    with pytest.raises(stores.RecordError, match=message):
        writer.append(batch)
    writer.append(records([4]))
    writer.close()
    assert_rows(stores.open_store(place.path), [0, 1, 4])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_names_sample_field_site_and_position(writer, bad):
    batch = records([1, 2, 3])
    batch.arrays["resid_post"][2, length(1) + 2, 5] = bad
    with pytest.raises(stores.NonFiniteError) as caught:
        writer.append(batch)
    assert (
        f"Sample 'sample-2', field 'resid_post', layer='resid_post.1', token 2 of {length(2)}, hidden=5: {bad}"
        in str(caught.value)
    )


def test_nan_in_a_field_stacked_by_sample_names_its_place(writer):
    batch = records([1, 2])
    batch.arrays["start"][1, 1, 3] = np.nan
    with pytest.raises(
        stores.NonFiniteError, match=r"Sample 'sample-2', field 'start', layer='resid_post.0', hidden=3"
    ):
        writer.append(batch)


def test_nan_in_float16_and_bfloat16_bits_is_found(place):
    fields = tuple(stores.Field(d, ("token", "hidden"), (None, 4), d, "1", "") for d in ("float16", "bfloat16"))
    stores.create_store(place.path, stores.Schema(fields, ()), {}, {}, place.backend)
    good = {"float16": np.zeros((3, 4), np.float16), "bfloat16": np.zeros((3, 4), np.uint16)}
    rows = [{"sample_id": "a", "sample_index": 0}]
    with stores.PartWriter(place.path, 0, 1 << 30, 1e9) as writer:
        for name, bad in (("float16", np.inf), ("bfloat16", 0x7F80)):
            arrays = {k: v.copy() for k, v in good.items()}
            arrays[name][2, 1] = bad
            with pytest.raises(stores.NonFiniteError, match=f"field '{name}', token 2 of 3, hidden=1"):
                writer.append(stores.Records(rows, arrays, {"token": np.array([3])}))


def test_nan_is_recorded_where_asked(writer, place):
    batch = records([0, 1])
    batch.arrays["log_probs"][0, 0, 0] = -np.inf
    writer.append(batch)
    writer.close()
    stored = stores.open_store(place.path)["log_probs"].read()
    assert stored[0, 0, 0] == -np.inf
    assert np.isnan(stored[:, :, 3]).all()


def test_commits_by_bytes_and_by_time(place):
    create(place.path, place.backend)
    one = records([0])
    size = sum(a.nbytes for a in one.arrays.values())
    with stores.PartWriter(place.path, 0, size * 2, 1e9) as writer:
        for i in range(6):
            writer.append(records([i]))
            assert writer.bytes_buffered < size * 2
        assert 0 < writer.rows_committed < 6
    with stores.PartWriter(place.path, 0, 1 << 30, 0) as writer:
        writer.append(records([6]))
        assert writer.rows_committed == 1
    assert_rows(stores.open_store(place.path), range(7))


def test_an_exception_in_the_with_block_keeps_complete_batches(place):
    create(place.path, place.backend)
    writer = stores.PartWriter(place.path, 0, 1 << 30, 1e9)

    def collect():
        with writer:
            writer.append(records([0, 1]))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        collect()
    assert_rows(stores.open_store(place.path), [0, 1])
    with pytest.raises(stores.StoreError, match="closed"):
        writer.append(records([2]))


def test_two_writers_of_one_launch_and_rank_get_parts_of_their_own(place):
    """On an object store the second is refused: there a part's head is what says who may commit."""
    create(place.path, place.backend)
    if "://" in str(place.path):
        with stores.PartWriter(place.path, 3, 1, 1e9, launch="L") as writer:
            writer.append(records([0]))
            with pytest.raises(stores.LeaseLost, match="another collection took this run over"):
                stores.PartWriter(place.path, 3, 1, 1e9, launch="L")
        assert_rows(stores.open_store(place.path), [0])
        return
    parts = []
    for i in range(2):
        with stores.PartWriter(place.path, 3, 1, 1e9, launch="L") as writer:
            writer.append(records([i]))
        parts.append(writer.part)
    assert parts == ["L-r003", "L-r003-2"]
    assert_rows(stores.open_store(place.path), [0, 1])


def test_bytes_written_are_those_on_disk(local):
    from pathlib import Path

    create(local.path, local.backend)
    with stores.PartWriter(local.path, 0, 1, 1e9) as writer:
        writer.append(records(range(4)))
    assert writer.bytes_written == sum(f.stat().st_size for f in Path(local.path).glob("parts/**/*") if f.is_file())
