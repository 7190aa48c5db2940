import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from annotate.windows import PackedWindows, Window, cut_windows, pack_windows

CLS, SEP = -1, -2


def test_a_sentence_that_fits_is_one_window():
    assert list(cut_windows(10, 10)) == [Window(0, 10, 0, 10)]


def test_a_sentence_without_pieces_has_no_window():
    assert list(cut_windows(0, 10)) == []


@given(pieces=st.integers(1, 5000), size=st.integers(6, 600))
def test_every_piece_is_decided_by_exactly_one_window_that_sees_it(pieces: int, size: int):
    windows = list(cut_windows(pieces, size))
    assert [piece for w in windows for piece in range(w.keep_start, w.keep_end)] == list(range(pieces))
    assert all(w.start <= w.keep_start < w.keep_end <= w.end <= w.start + size for w in windows)


@given(pieces=st.integers(101, 1000))
def test_a_piece_has_context_on_both_sides_or_is_near_an_end_of_the_sentence(pieces: int):
    for window in cut_windows(pieces, 100):
        assert window.keep_start - window.start >= 12 or window.start == 0
        assert window.end - window.keep_end >= 12 or window.end == pieces


@st.composite
def sentences(draw: st.DrawFn) -> tuple[list[list[int]], list[list[bool]]]:
    """Return sentences whose pieces all differ, and which of them begin a word."""
    lengths = draw(st.lists(st.one_of(st.integers(0, 12), st.integers(30, 90)), max_size=12))
    numbers = iter(range(sum(lengths)))
    pieces = [[next(numbers) for _ in range(length)] for length in lengths]
    return pieces, [[draw(st.booleans()) for _ in sentence] for sentence in pieces]


def pack(pieces: list[list[int]], starts: list[list[bool]], size: int) -> PackedWindows:
    return pack_windows(
        np.array([piece for sentence in pieces for piece in sentence], dtype=np.int64),
        np.cumsum([0, *map(len, pieces)]),
        np.array([start for sentence in starts for start in sentence], dtype=bool),
        size=size,
        special=([CLS], [SEP]),
    )


@given(sentences(), st.integers(6, 40))
def test_packed_windows_are_the_sentences_windows_with_their_special_pieces(
    given_sentences: tuple[list[list[int]], list[list[bool]]], size: int
):
    pieces, starts = given_sentences
    packed = pack(pieces, starts, size)
    ends = np.cumsum(packed.lengths)
    found = [
        (int(sentence), packed.pieces[end - length : end].tolist())
        for sentence, end, length in zip(packed.sentences, ends, packed.lengths, strict=True)
    ]
    expected = [
        (index, [CLS, *sentence[window.start : window.end], SEP])
        for index, sentence in enumerate(pieces)
        for window in cut_windows(len(sentence), size)
    ]
    assert sorted(found) == sorted(expected)
    assert packed.lengths.tolist() == sorted(packed.lengths.tolist(), reverse=True)


@given(sentences(), st.integers(6, 40))
def test_every_word_is_decided_by_exactly_one_row_which_is_its_first_piece(
    given_sentences: tuple[list[list[int]], list[list[bool]]], size: int
):
    pieces, starts = given_sentences
    packed = pack(pieces, starts, size)
    firsts = [
        piece
        for sentence, begins in zip(pieces, starts, strict=True)
        for piece, begin in zip(sentence, begins, strict=True)
        if begin
    ]
    assert packed.wanted.tolist() == sorted(set(packed.wanted.tolist()))
    decided = dict(zip(packed.words.tolist(), packed.pieces[packed.wanted].tolist(), strict=True))
    assert decided == dict(enumerate(firsts))


@given(sentences(), st.integers(1, 200))
def test_batches_are_the_windows_in_order_and_fit(
    given_sentences: tuple[list[list[int]], list[list[bool]]], most_rows: int
):
    packed = pack(*given_sentences, 40)
    batches = list(packed.batches(most_rows))
    assert all(len(batch) == 1 or len(batch.pieces) <= most_rows for batch in batches)
    assert all(len(batch.pieces) == batch.lengths.sum() for batch in batches)
    for field in ("pieces", "lengths", "sentences", "words"):
        parts = [getattr(batch, field).tolist() for batch in batches]
        assert [one for part in parts for one in part] == getattr(packed, field).tolist()
    for batch in batches:
        words = packed.words.tolist()
        at = [words.index(word) for word in batch.words.tolist()]
        assert batch.pieces[batch.wanted].tolist() == packed.pieces[packed.wanted[at]].tolist()


def test_a_batch_is_halved_by_windows():
    packed = pack([[0], [1, 2], [3, 4, 5]], [[True], [True, False], [False, True, True]], 10)
    first, second = packed.halves()
    assert (first.pieces.tolist(), first.wanted.tolist(), first.words.tolist()) == ([CLS, 3, 4, 5, SEP], [2, 3], [2, 3])
    assert second.pieces.tolist() == [CLS, 1, 2, SEP, CLS, 0, SEP]
    assert (second.wanted.tolist(), second.words.tolist()) == ([1, 5], [1, 0])


@given(sentences(), st.integers(6, 40), st.data())
def test_chosen_windows_keep_their_pieces_and_words(
    given_sentences: tuple[list[list[int]], list[list[bool]]], size: int, data: st.DataObject
):
    packed = pack(*given_sentences, size)
    which = np.array([data.draw(st.booleans()) for _ in range(len(packed))], dtype=bool)
    chosen = packed.chosen(which)
    ends = np.cumsum(packed.lengths)
    expected = [packed.pieces[end - length : end].tolist() for end, length in zip(ends, packed.lengths, strict=True)]
    ends = np.cumsum(chosen.lengths)
    found = [chosen.pieces[end - length : end].tolist() for end, length in zip(ends, chosen.lengths, strict=True)]
    assert found == [window for window, taken in zip(expected, which, strict=True) if taken]
    assert chosen.sentences.tolist() == packed.sentences[which].tolist()
    kept = which[packed.owners]
    assert chosen.words.tolist() == packed.words[kept].tolist()
    assert chosen.pieces[chosen.wanted].tolist() == packed.pieces[packed.wanted[kept]].tolist()
