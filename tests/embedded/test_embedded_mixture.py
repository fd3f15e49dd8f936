"""What the model reads: epochs that repeat exactly, rows that lose nothing."""

from __future__ import annotations

from lit_experiments.embedded.mixture import Arithmetic, Documentation, Mixture, pack


def test_an_epoch_depends_on_seed_and_number_alone_and_holds_every_piece():
    pieces = tuple(f"piece {i}" for i in range(20))
    mixture = Mixture((Documentation(pieces), Arithmetic(12, 5)), 5)
    assert mixture.texts(3) == mixture.texts(3)
    assert mixture.texts(3) != mixture.texts(4)
    assert set(pieces) <= set(mixture.texts(3))
    assert len(mixture.texts(3)) == 32


def test_arithmetic_uses_both_methods_and_new_problems_each_epoch():
    component = Arithmetic(40, 5)
    assert set(component.texts(0)).isdisjoint(component.texts(1))
    split = sum("Solution: Split" in text for text in component.texts(0))
    assert 10 < split < 30


def test_every_row_starts_a_document_and_every_document_appears_whole():
    documents = [[1, *range(10 * i, 10 * i + n), 2] for i, n in enumerate((5, 3, 6, 1, 4, 9), start=1)]
    rows = pack(documents, 12)
    assert rows.shape[1] == 12
    assert (rows[:, 0] == 1).all()
    read = [row.tolist() for row in rows]
    whole = [d for d in documents if any(row[i : i + len(d)] == d for row in read for i in range(12))]
    assert whole == documents[: len(whole)]
    assert len(whole) >= len(documents) - 1  # the last row is kept only when it is full


def test_a_document_longer_than_a_row_is_cut():
    assert pack([[1, 5, 6, 7, 8, 9, 2]], 4).tolist() == [[1, 5, 6, 7]]
