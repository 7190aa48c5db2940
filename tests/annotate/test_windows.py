from hypothesis import given
from hypothesis import strategies as st

from annotate.windows import Window, cut_windows, group_windows


def test_a_sentence_that_fits_is_one_window():
    assert list(cut_windows(3, 10, 10)) == [Window(3, 0, 10, 0, 10)]


def test_a_sentence_without_pieces_has_no_window():
    assert list(cut_windows(0, 0, 10)) == []


@given(pieces=st.integers(1, 5000), size=st.integers(6, 600))
def test_every_piece_is_decided_by_exactly_one_window_that_sees_it(pieces: int, size: int):
    windows = list(cut_windows(0, pieces, size))
    assert [piece for w in windows for piece in range(w.keep_start, w.keep_end)] == list(range(pieces))
    assert all(w.start <= w.keep_start < w.keep_end <= w.end <= w.start + size for w in windows)


@given(pieces=st.integers(101, 1000))
def test_a_piece_has_context_on_both_sides_or_is_near_an_end_of_the_sentence(pieces: int):
    for window in cut_windows(0, pieces, 100):
        assert window.keep_start - window.start >= 12 or window.start == 0
        assert window.end - window.keep_end >= 12 or window.end == pieces


@given(st.lists(st.integers(1, 60), max_size=40))
def test_batches_keep_order_and_fit(lengths: list[int]):
    windows = [Window(index, 0, length, 0, length) for index, length in enumerate(lengths)]
    grouped = list(group_windows(windows, 50))
    assert [window for group in grouped for window in group] == windows
    assert all(len(group) == 1 or sum(window.rows for window in group) <= 50 for group in grouped)
