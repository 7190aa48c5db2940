from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from annotate.decode import TagDecoder, WordSpan
from annotate.folder import head_tags
from annotate.labels import Scheme, TagSet

TAGS = head_tags(("Drug", "Condition"))


def bio(tags: Sequence[str]) -> TagSet:
    return TagSet(tags=tuple(tags), scheme=Scheme.BIO)


def logits(*tags: str, margin: float = 10.0) -> np.ndarray:
    rows = np.zeros((len(tags), len(TAGS)), dtype=np.float32)
    rows[np.arange(len(tags)), [TAGS.index(tag) for tag in tags]] = margin
    return rows


def decode(rows: np.ndarray) -> list[WordSpan]:
    (spans,) = TagDecoder(bio(TAGS)).decode(rows, np.array([0, len(rows)]))
    return spans


def plain(spans: list[WordSpan]) -> list[tuple[int, int, str]]:
    return [(span.first, span.end, span.label) for span in spans]


def test_words_of_one_mention_are_joined():
    assert plain(decode(logits("O", "B-Drug", "I-Drug", "O", "B-Condition"))) == [(1, 3, "Drug"), (4, 5, "Condition")]


def test_adjacent_mentions_of_one_label_stay_apart():
    assert plain(decode(logits("B-Drug", "B-Drug", "I-Drug"))) == [(0, 1, "Drug"), (1, 3, "Drug")]


def test_a_mention_may_end_with_its_sentence_and_another_begin_the_next():
    rows = logits("O", "B-Drug", "B-Drug", "O")
    first, second = TagDecoder(bio(TAGS)).decode(rows, np.array([0, 2, 4]))
    assert plain(first) == [(1, 2, "Drug")]
    assert plain(second) == [(0, 1, "Drug")]


def test_an_inside_tag_never_continues_the_mention_of_the_sentence_before():
    rows = np.concatenate([logits("B-Drug"), logits("I-Drug", margin=1.0)])
    rows[1, TAGS.index("O")] = 0.9
    first, second = TagDecoder(bio(TAGS)).decode(rows, np.array([0, 1, 2]))
    assert plain(first) == [(0, 1, "Drug")]
    assert second == []


def test_an_inside_tag_of_another_label_does_not_extend_a_mention():
    rows = logits("B-Drug", "I-Condition", "O")
    rows[1, TAGS.index("O")] = 9.0
    assert plain(decode(rows)) == [(0, 1, "Drug")]


def test_sentences_without_words_have_no_mentions():
    rows = logits("B-Drug")
    assert TagDecoder(bio(TAGS)).decode(rows, np.array([0, 0, 1, 1])) == [[], decode(rows), []]
    assert TagDecoder(bio(TAGS)).decode(rows[:0], np.array([0, 0])) == [[]]


def test_the_score_is_the_least_probability_among_the_words():
    rows = logits("B-Drug", "I-Drug")
    rows[1] *= 0.1
    (span,) = decode(rows)
    assert span.score == pytest.approx(np.e / (np.e + 4), abs=1e-4)
    assert span.score == round(span.score, 4)


def test_the_order_of_the_tags_does_not_matter():
    tags = ("I-Drug", "B-Drug", "O")
    rows = np.array([[0, 5, 1], [5, 1, 0], [0, 1, 5]], dtype=np.float32)
    (spans,) = TagDecoder(bio(tags)).decode(rows, np.array([0, 3]))
    assert plain(spans) == [(0, 2, "Drug")]


def test_extreme_logits_give_a_finite_score():
    rows = np.full((1, len(TAGS)), -1e30, dtype=np.float32)
    rows[0, 1] = 1e30
    assert decode(rows)[0].score == 1.0


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(len(TAGS))), elements=st.floats(-8, 8, width=32)))
def test_the_result_is_the_best_of_all_allowed_sequences(rows: np.ndarray):
    def allowed(tags: tuple[int, ...]) -> bool:
        names = ["O", *(TAGS[tag] for tag in tags)]
        return all(after[0] != "I" or before[2:] == after[2:] for before, after in itertools.pairwise(names))

    def worth(tags: tuple[int, ...]) -> float:
        return sum(float(row[tag]) for row, tag in zip(rows, tags, strict=True))

    best = max(worth(tags) for tags in itertools.product(range(len(TAGS)), repeat=len(rows)) if allowed(tags))
    chosen = ["O"] * len(rows)
    for span in decode(rows):
        chosen[span.first : span.end] = [f"B-{span.label}"] + [f"I-{span.label}"] * (span.end - span.first - 1)
    assert worth(tuple(TAGS.index(tag) for tag in chosen)) == pytest.approx(best, abs=1e-3)
