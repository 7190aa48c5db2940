from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from annotate import decode as decode_module
from annotate.decode import HeadsDecoder, TagDecoder, WordSpans, _round
from annotate.folder import head_tags
from annotate.labels import Scheme, TagSet

TAGS = head_tags(("Drug", "Condition"))


def bio(tags: Sequence[str]) -> TagSet:
    return TagSet(tags=tuple(tags), scheme=Scheme.BIO)


def logits(*tags: str, margin: float = 10.0) -> np.ndarray:
    rows = np.zeros((len(tags), len(TAGS)), dtype=np.float32)
    rows[np.arange(len(tags)), [TAGS.index(tag) for tag in tags]] = margin
    return rows


class WordSpan(NamedTuple):
    first: int
    end: int
    label: str
    score: float


def by_sentence(spans: WordSpans, bounds: Sequence[int]) -> list[list[WordSpan]]:
    """Return the mentions of each sentence, in words of that sentence."""
    sentences: list[list[WordSpan]] = [[] for _ in range(len(bounds) - 1)]
    columns = (spans.sentences, spans.firsts, spans.ends, spans.labels, spans.scores)
    for sentence, first, end, label, score in zip(*(column.tolist() for column in columns), strict=True):
        at = int(bounds[sentence])
        sentences[sentence].append(WordSpan(first - at, end - at, spans.names[label], score))
    return sentences


def decode_all(rows: np.ndarray, bounds: Sequence[int], tags: TagSet | None = None) -> list[list[WordSpan]]:
    return by_sentence(TagDecoder(tags or bio(TAGS)).decode(rows, np.array(bounds)), bounds)


def decode(rows: np.ndarray) -> list[WordSpan]:
    (spans,) = decode_all(rows, [0, len(rows)])
    return spans


def plain(spans: list[WordSpan]) -> list[tuple[int, int, str]]:
    return [(span.first, span.end, span.label) for span in spans]


def test_words_of_one_mention_are_joined():
    assert plain(decode(logits("O", "B-Drug", "I-Drug", "O", "B-Condition"))) == [(1, 3, "Drug"), (4, 5, "Condition")]


def test_adjacent_mentions_of_one_label_stay_apart():
    assert plain(decode(logits("B-Drug", "B-Drug", "I-Drug"))) == [(0, 1, "Drug"), (1, 3, "Drug")]


def test_a_mention_may_end_with_its_sentence_and_another_begin_the_next():
    rows = logits("O", "B-Drug", "B-Drug", "O")
    first, second = decode_all(rows, [0, 2, 4])
    assert plain(first) == [(1, 2, "Drug")]
    assert plain(second) == [(0, 1, "Drug")]


def test_an_inside_tag_never_continues_the_mention_of_the_sentence_before():
    rows = np.concatenate([logits("B-Drug"), logits("I-Drug", margin=1.0)])
    rows[1, TAGS.index("O")] = 0.9
    first, second = decode_all(rows, [0, 1, 2])
    assert plain(first) == [(0, 1, "Drug")]
    assert second == []


def test_an_inside_tag_of_another_label_does_not_extend_a_mention():
    rows = logits("B-Drug", "I-Condition", "O")
    rows[1, TAGS.index("O")] = 9.0
    assert plain(decode(rows)) == [(0, 1, "Drug")]


def test_sentences_without_words_have_no_mentions():
    rows = logits("B-Drug")
    assert decode_all(rows, [0, 0, 1, 1]) == [[], decode(rows), []]
    assert decode_all(rows[:0], [0, 0]) == [[]]


def test_the_score_is_the_least_probability_among_the_words():
    rows = logits("B-Drug", "I-Drug")
    rows[1] *= 0.1
    (span,) = decode(rows)
    assert span.score == pytest.approx(np.e / (np.e + 4), abs=1e-4)
    assert span.score == round(span.score, 4)


def test_the_order_of_the_tags_does_not_matter():
    tags = ("I-Drug", "B-Drug", "O")
    rows = np.array([[0, 5, 1], [5, 1, 0], [0, 1, 5]], dtype=np.float32)
    (spans,) = decode_all(rows, [0, 3], bio(tags))
    assert plain(spans) == [(0, 2, "Drug")]


def test_extreme_logits_give_a_finite_score():
    rows = np.full((1, len(TAGS)), -1e30, dtype=np.float32)
    rows[0, 1] = 1e30
    assert decode(rows)[0].score == 1.0


SCHEMES = {
    Scheme.BIO: ("O", "B-X", "I-X", "B-Y", "I-Y"),
    Scheme.IOB1: ("B-X", "I-X", "O", "I-Y", "B-Y"),
    Scheme.IO: ("I-X", "O", "I-Y", "I-Z"),
    Scheme.BILOU: ("O", "B-X", "I-X", "L-X", "U-X", "U-Y"),
}


def is_allowed(scheme: Scheme, tags: Sequence[str]) -> bool:
    """What a scheme allows, said by whole sequences and not by transitions."""
    text = "".join(f"<{tag}>" for tag in tags)
    patterns = {
        Scheme.BIO: r"(<O>|<B-X>(<I-X>)*|<B-Y>(<I-Y>)*)*",
        Scheme.IOB1: r".*",
        Scheme.IO: r".*",
        Scheme.BILOU: r"(<O>|<B-X>(<I-X>)*<L-X>|<U-X>|<U-Y>)*",
    }
    return re.fullmatch(patterns[scheme], text) is not None


def spelled(scheme: Scheme, words: int, spans: list[WordSpan]) -> list[str]:
    """Write mentions down as tags again."""
    tags = ["O"] * words
    last: WordSpan | None = None
    for span in spans:
        length = span.end - span.first
        touches = last is not None and last.end == span.first and last.label == span.label
        begin = {Scheme.BIO: "B", Scheme.IO: "I", Scheme.IOB1: "B" if touches else "I"}.get(scheme, "B")
        letters = [begin, *["I"] * (length - 1)]
        if scheme is Scheme.BILOU:
            letters = ["U"] if length == 1 else ["B", *["I"] * (length - 2), "L"]
        tags[span.first : span.end] = [f"{letter}-{span.label}" for letter in letters]
        last = span
    return tags


@pytest.mark.parametrize("scheme", list(SCHEMES))
@given(data=st.data())
def test_the_result_is_the_best_of_all_allowed_sequences(scheme: Scheme, data: st.DataObject):
    names = SCHEMES[scheme]
    shape = st.tuples(st.integers(1, 5), st.just(len(names)))
    rows = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(-8, 8, width=32)))

    def worth(tags: Sequence[int]) -> float:
        return sum(float(row[tag]) for row, tag in zip(rows, tags, strict=True))

    sequences = itertools.product(range(len(names)), repeat=len(rows))
    best = max(worth(tags) for tags in sequences if is_allowed(scheme, [names[tag] for tag in tags]))
    (spans,) = decode_all(rows, [0, len(rows)], TagSet(tags=names, scheme=scheme))
    chosen = spelled(scheme, len(rows), spans)
    if scheme is Scheme.IOB1:  # a B where I would do says the same, and may be worth more
        chosen = [
            max((tag, f"B{tag[1:]}"), key=lambda name: row[names.index(name)]) if tag[0] == "I" and starts else tag
            for tag, row, starts in zip(chosen, rows, _starts(len(rows), spans), strict=True)
        ]
    assert worth([names.index(tag) for tag in chosen]) == pytest.approx(best, abs=1e-3)


def _starts(words: int, spans: list[WordSpan]) -> list[bool]:
    return [any(span.first == word for span in spans) for word in range(words)]


@given(data=st.data())
def test_sentences_decoded_together_get_what_each_gets_alone(data: st.DataObject):
    scheme = data.draw(st.sampled_from(list(SCHEMES)))
    tags = TagSet(tags=SCHEMES[scheme], scheme=scheme)
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    shape = (sum(lengths), len(SCHEMES[scheme]))
    rows = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(-4, 4, width=32)))
    bounds = [0, *itertools.accumulate(lengths)]
    together = decode_all(rows, bounds, tags)
    for number, length in enumerate(lengths):
        part = rows[bounds[number] : bounds[number + 1]]
        assert together[number] == decode_all(part, [0, length], tags)[0]


@pytest.mark.parametrize(
    ("scheme", "tags", "expected"),
    [
        (Scheme.IO, "I-X I-X I-Y O I-X", [(0, 2, "X"), (2, 3, "Y"), (4, 5, "X")]),
        (Scheme.IOB1, "I-X I-X B-X I-Y O I-X", [(0, 2, "X"), (2, 3, "X"), (3, 4, "Y"), (5, 6, "X")]),
        (Scheme.BILOU, "U-X U-X B-X L-X U-Y B-X I-X L-X",
         [(0, 1, "X"), (1, 2, "X"), (2, 4, "X"), (4, 5, "Y"), (5, 8, "X")]),
    ],
)  # fmt: skip
def test_each_scheme_joins_words_in_its_way(scheme: Scheme, tags: str, expected: list[tuple[int, int, str]]):
    names = SCHEMES[scheme]
    rows = np.array([[9.0 * (tag == name) for name in names] for tag in tags.split()], dtype=np.float32)
    (spans,) = decode_all(rows, [0, len(rows)], TagSet(tags=names, scheme=scheme))
    assert plain(spans) == expected


def one_word_after_another(rows: np.ndarray, tags: TagSet, names: Mapping[str, str]) -> list[WordSpan]:
    """Decode one sentence of one head in the plainest way: what the arrays are to give, to the last bit."""
    follows = TagDecoder(tags)._may_follow
    outside = tags.tags.index("O")
    exact = rows.astype(np.float64)
    exact = exact - np.logaddexp.reduce(exact, axis=1, keepdims=True)
    best, back = [np.where(follows[outside], exact[0], -1e30)], []
    for word in exact[1:]:
        paths = best[-1][:, None] + np.where(follows, 0.0, -1e30)
        back.append(paths.argmax(axis=0))
        best.append(paths.max(axis=0) + word)
    path = [int(np.where(follows[:, outside], best[-1], -2e30).argmax())]
    for before in reversed(back):
        path.append(int(before[path[-1]]))
    spans: list[tuple[int, int, str]] = []
    last = "O"
    for word, tag in enumerate(tags.tags[index] for index in reversed(path)):
        fresh = tags.scheme in (Scheme.IO, Scheme.IOB1) and last[2:] != tag[2:]
        if tag[0] in "BU" or (tag[0] == "I" and fresh):
            spans.append((word, word + 1, tag[2:]))
        elif tag != "O":
            spans[-1] = (spans[-1][0], word + 1, tag[2:])
        last = tag
    probabilities = [
        float(np.exp(row[tag] - row.max() - np.log(np.exp(row - row.max()).sum())))
        for row, tag in zip(rows.astype(np.float64), reversed(path), strict=True)
    ]
    return [
        WordSpan(first, end, names[label], round(min(probabilities[first:end]), 4))
        for first, end, label in spans
        if label in names
    ]


@given(seed=st.integers(0, 10**6), spread=st.sampled_from([0.3, 3.0, 30.0]), outside=st.sampled_from([0.0, 4.0]))
@pytest.mark.parametrize("paths", [1, 1 << 20])
def test_heads_decoded_as_arrays_give_what_one_word_after_another_gives(
    paths: int, seed: int, spread: float, outside: float
):
    chooser = np.random.default_rng(seed)
    chosen = [list(SCHEMES)[index] for index in chooser.integers(0, len(SCHEMES), chooser.integers(1, 4))]
    heads = [TagSet(tags=SCHEMES[scheme], scheme=scheme) for scheme in chosen]
    names = [{"X": "Drug", "Y": "Condition"}, {"Y": "Drug", "Z": "Z"}, {"X": "X"}][: len(heads)]
    lengths = chooser.integers(0, 20, chooser.integers(1, 12)).tolist()
    bounds = [0, *itertools.accumulate(lengths)]
    rows = chooser.normal(scale=spread, size=(bounds[-1], sum(len(head.tags) for head in heads))).astype(np.float32)
    rows[:, heads[0].tags.index("O")] += outside * spread
    with mock.patch.object(decode_module, "_MOST_PATHS", paths):
        found = by_sentence(HeadsDecoder(heads, names).decode(rows, np.array(bounds)), bounds)
    columns = [0, *itertools.accumulate(len(head.tags) for head in heads)]
    expected = [
        [
            span
            for head, named, at in zip(heads, names, columns, strict=False)
            for span in one_word_after_another(rows[start:end, at : at + len(head.tags)], head, named)
        ]
        if start < end
        else []
        for start, end in itertools.pairwise(bounds)
    ]
    assert found == expected


@given(st.lists(st.one_of(st.floats(0, 1), st.integers(0, 20_000).map(lambda number: number / 20_000)), max_size=50))
def test_scores_are_rounded_as_python_rounds(scores: list[float]):
    assert _round(np.array(scores, dtype=np.float64)).tolist() == [round(score, 4) for score in scores]


def test_a_label_that_no_head_decides_is_left_out_and_names_are_sorted():
    decoder = HeadsDecoder([bio(TAGS), bio(TAGS)], [{"Drug": "Taxon"}, {"Condition": "Gene"}])
    rows = np.tile(logits("B-Drug", "B-Condition"), 2)
    assert decoder.names == ("Gene", "Taxon")
    (spans,) = by_sentence(decoder.decode(rows, np.array([0, 2])), [0, 2])
    assert plain(spans) == [(0, 1, "Taxon"), (1, 2, "Gene")]
