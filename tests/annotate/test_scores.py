"""Scores and their intervals; tags against seqeval, the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2, Entities

from annotate.corpora import AnnotatedSentence, Span
from annotate.scores import RESAMPLES, Tally, compare
from annotate.word_tags import sentence_words, strict_chunks, word_tags

TAGS = ("O", "B-A", "I-A", "B-B", "I-B")
ROWS = st.lists(st.lists(st.sampled_from(TAGS), min_size=1, max_size=10), min_size=1, max_size=5)


@given(ROWS)
@settings(max_examples=300)
def test_any_tags_give_the_mentions_that_seqeval_sees(rows: list[list[str]]):
    for row, expected in zip(rows, Entities(rows, IOB2).entities, strict=True):
        assert strict_chunks(row) == [(one.start, one.end, one.tag) for one in expected]


@given(ROWS, st.randoms(use_true_random=False))
@settings(max_examples=100)
@pytest.mark.filterwarnings("ignore::seqeval.metrics.v1.UndefinedMetricWarning")
def test_scores_are_those_of_seqeval_in_strict_mode(gold: list[list[str]], chooser: object):
    shuffled = [chooser.sample(row, len(row)) for row in gold]  # type: ignore[attr-defined]
    predicted = [row if chooser.random() < 0.5 else other for row, other in zip(gold, shuffled, strict=True)]  # type: ignore[attr-defined]
    tally = Tally(("A", "B"), map(str, range(len(gold))))
    for number, (wanted, found) in enumerate(zip(gold, predicted, strict=True)):
        tally.add(str(number), *([((s, e), label) for s, e, label in strict_chunks(row)] for row in (wanted, found)))
    if tally.score().support == 0:
        return  # seqeval cannot report on nothing
    report = classification_report(gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    for ours, theirs in ((tally.score(), report["micro avg"]), *((tally.score(x), report.get(x)) for x in "AB")):
        if theirs is not None:
            assert ours.precision == pytest.approx(theirs["precision"])
            assert ours.recall == pytest.approx(theirs["recall"])
            assert ours.f1 == pytest.approx(theirs["f1-score"])
            assert ours.support == theirs["support"]


def sentence(text: str, *spans: tuple[int, int, str], words: tuple[tuple[int, int], ...] = ()) -> AnnotatedSentence:
    made = tuple(Span(start_char=start, end_char=end, label=label) for start, end, label in spans)
    return AnnotatedSentence(pmid=1, start_char=0, text=text, spans=made, words=words)


def test_a_word_belongs_to_the_span_that_touches_it_and_the_longer_of_two_spans_is_kept():
    one = sentence("β-blocker rash, rash", (0, 9, "A"), (0, 14, "B"), (16, 18, "A"))
    words = sentence_words(one)
    assert [one.text[start:end] for start, end in words] == ["β", "-", "blocker", "rash", ",", "rash"]
    assert word_tags(words, one.spans) == ["B-B", "I-B", "I-B", "I-B", "O", "B-A"]


def test_adjacent_mentions_stay_two_and_the_corpus_s_own_words_are_used():
    one = sentence("Pax6Eya1 x", (0, 4, "A"), (4, 8, "A"), words=((0, 8), (9, 10)))
    assert word_tags(sentence_words(one), one.spans) == ["B-A", "O"]
    assert word_tags([(0, 4), (4, 8), (9, 10)], one.spans) == ["B-A", "B-A", "O"]


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(1, 5), st.sampled_from("AB")), max_size=8))
def test_the_tags_of_any_spans_are_valid_iob2(found: list[tuple[int, int, str]]):
    words = [(at, at + 1) for at in range(20)]
    tags = word_tags(words, [Span(start_char=at, end_char=at + size, label=label) for at, size, label in found])
    for before, tag in zip(["O", *tags], tags, strict=False):
        assert not tag.startswith("I-") or before[2:] == tag[2:]


def tally(*articles: tuple[int, int, int]) -> Tally:
    """A tally of one label from (correct, predicted, gold) of each article."""
    made = Tally(("A",), map(str, range(len(articles))))
    for number, (correct, predicted, support) in enumerate(articles):
        gold = [((n, 0), "A") for n in range(support)]
        found = [((n, 0), "A") for n in range(correct)] + [((-n, 1), "A") for n in range(predicted - correct)]
        made.add(str(number), gold, found)
    return made


def test_the_interval_is_that_of_a_plain_bootstrap():
    """Against the definition, drawn article by article with another generator."""
    articles = [(8, 10, 12), (1, 4, 9), (5, 5, 5), (0, 3, 2), (7, 9, 8), (2, 2, 6), (0, 0, 1), (6, 8, 6)] * 3
    [interval], micro = tally(*articles).intervals()[0].values(), tally(*articles).intervals()[1]
    chooser = np.random.default_rng(99)
    figures = []
    for _ in range(4000):
        correct, predicted, support = np.array(articles)[chooser.integers(0, len(articles), len(articles))].sum(axis=0)
        figures.append(2 * correct / (predicted + support))
    low, high = np.quantile(figures, [0.025, 0.975])
    assert interval == micro
    assert interval.f1 == pytest.approx((low, high), abs=0.015)
    assert interval.f1[0] < tally(*articles).score().f1 < interval.f1[1]


def test_articles_are_drawn_whole():
    """A hundred mentions in two articles tell less than in a hundred."""
    two, hundred = tally((50, 50, 50), (0, 50, 50)), tally(*[(1, 1, 1), (0, 1, 1)] * 50)
    assert two.score() == hundred.score()
    widths = [one.intervals()[1].f1[1] - one.intervals()[1].f1[0] for one in (two, hundred)]
    assert widths[0] > 0.9 > 0.3 > widths[1]


def test_the_interval_is_the_same_every_time_and_defined_for_nothing():
    assert tally((3, 4, 5), (1, 2, 3)).intervals() == tally((3, 4, 5), (1, 2, 3)).intervals()
    assert tally((0, 0, 0)).intervals()[1].f1 == (0.0, 0.0)


def test_many_articles_are_drawn_in_portions(monkeypatch: pytest.MonkeyPatch):
    articles = [(number % 3, 2, 3) for number in range(50)]
    whole = tally(*articles).resampled()
    monkeypatch.setattr("annotate.scores._CELLS_AT_ONCE", 500)
    portions = tally(*articles).resampled()
    assert whole.shape == portions.shape == (RESAMPLES, 2, 3)
    assert np.array_equal(whole, portions)


def test_a_better_annotator_is_told_from_a_worse_and_equal_ones_are_not():
    worse = [(number % 4, 4, 4) for number in range(60)]
    better = [(min(4, number % 4 + 1), 4, 4) for number in range(60)]
    difference = compare(tally(*better), tally(*worse))
    assert difference.f1 == pytest.approx(0.25)
    assert difference.low > 0.2
    assert difference.p < 0.01
    same = compare(tally(*worse), tally(*worse))
    assert (same.f1, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    swapped = [worse[-1 - index] for index in range(60)]
    assert compare(tally(*swapped), tally(*worse)).p > 0.3
    with pytest.raises(ValueError, match="same articles"):
        compare(tally(*worse), tally(*worse[1:]))
