"""Pieces get smaller until they fit their time, and grow again."""

import pytest

from signalflow.domain.piece_size import PieceSize

TIMEOUT = 10.0


def stored_in(rows: int, seconds_per_row: float, pieces: PieceSize) -> tuple[int, int]:
    """How many pieces, and how many timeouts, it takes to store rows that take this long each."""
    left, done, timeouts = rows, 0, 0
    while left:
        size = min(pieces.size, left)
        if size * seconds_per_row > TIMEOUT:
            pieces.took_too_long(size)
            timeouts += 1
            assert timeouts < 20, "it never fits"
        else:
            pieces.took(size, size * seconds_per_row)
            left -= size
            done += 1
    return done, timeouts


@pytest.mark.parametrize(
    ("seconds_per_row", "most_pieces", "most_timeouts"),
    [(0.0001, 1, 0), (0.006, 2, 1), (0.05, 16, 5), (1.0, 500, 9), (9.0, 2_000, 11)],
)
def test_a_flush_of_2000_rows_is_stored_however_slow_its_rows_are(
    seconds_per_row: float, most_pieces: int, most_timeouts: int
) -> None:
    done, timeouts = stored_in(2_000, seconds_per_row, PieceSize(TIMEOUT))
    assert done <= most_pieces
    assert timeouts <= most_timeouts


def test_slow_rows_cost_no_timeout_once_the_size_fits() -> None:
    pieces = PieceSize(TIMEOUT)
    stored_in(2_000, 0.05, pieces)
    assert stored_in(20_000, 0.05, pieces)[1] == 0


def test_pieces_grow_to_a_whole_flush_again_once_rows_are_quick() -> None:
    pieces = PieceSize(TIMEOUT)
    stored_in(2_000, 5.0, pieces)
    assert pieces.size <= 2
    stored_in(4_000, 0.0001, pieces)
    assert stored_in(2_000, 0.0001, pieces) == (1, 0)


def test_a_small_flush_that_was_quick_proves_nothing_about_larger_ones() -> None:
    pieces = PieceSize(TIMEOUT)
    pieces.took_too_long(1_000)
    pieces.took(50, 0.1)
    assert pieces.size == 500


def test_one_row_is_the_smallest_piece() -> None:
    pieces = PieceSize(TIMEOUT)
    pieces.took_too_long(1)
    assert pieces.size == 1
