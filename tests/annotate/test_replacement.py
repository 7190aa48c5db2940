"""Entities replaced by other names of their label."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.corpora import AnnotatedSentence, Span, load_corpus, split_document
from annotate.replacement import replace_entities
from tests.annotate.test_corpora import FullStops

NAMES = {"Drug": ["zolast", "quinine sulfate", "5-FU", "α-tavorin"], "Condition": ["rash", "tremor of the hand"]}


def sentence(text: str, *spans: tuple[int, int, str], words: Sequence[tuple[int, int]] = ()) -> AnnotatedSentence:
    return AnnotatedSentence(
        pmid=1,
        start_char=0,
        text=text,
        spans=tuple(Span(start_char=start, end_char=end, label=label) for start, end, label in spans),
        words=tuple(words),
    )


def surfaces(one: AnnotatedSentence) -> list[tuple[str, str]]:
    return [(one.text[span.start_char : span.end_char], span.label) for span in one.spans]


def outside(one: AnnotatedSentence) -> list[str]:
    """The stretches of a sentence between its mentions."""
    bounds = [0, *(offset for span in one.spans for offset in (span.start_char, span.end_char)), len(one.text)]
    return [one.text[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True)]


@st.composite
def annotated(draw: st.DrawFn) -> AnnotatedSentence:
    """A sentence whose mentions do not overlap, between words that may be empty."""
    text, spans = draw(st.text("ab ,", max_size=5)), []
    for _ in range(draw(st.integers(0, 5))):
        name, label = (
            draw(st.text("xyzα -", min_size=1, max_size=6)),
            draw(st.sampled_from(("Drug", "Condition", "Gene"))),
        )
        spans.append((len(text), len(text) + len(name), label))
        text += name + draw(st.text("ab ,", max_size=5))
    return sentence(text, *spans)


@given(st.lists(annotated(), max_size=12), st.floats(0, 1), st.integers(0, 9))
def test_names_are_replaced_and_nothing_else(sentences: list[AnnotatedSentence], share: float, seed: int):
    replaced = replace_entities(sentences, NAMES, share, seed)
    changed: Counter[str] = Counter()
    for before, after in zip(sentences, replaced, strict=True):
        assert outside(before) == outside(after)
        for (old, label), (new, same_label) in zip(surfaces(before), surfaces(after), strict=True):
            assert same_label == label
            assert new == old or new in NAMES[label]
            changed[label] += new != old
    for label in NAMES:
        total = sum(span.label == label for one in sentences for span in one.spans)
        assert changed[label] == round(share * total)
    assert changed["Gene"] == 0


def test_a_new_name_is_never_the_old_one():
    one = sentence("rash", (0, 4, "Condition"))
    assert {replace_entities([one], NAMES, 1.0, seed)[0].text for seed in range(20)} == {"tremor of the hand"}
    assert replace_entities([one], {"Condition": ["rash"]}, 1.0) == [one]


def test_words_move_along_and_those_of_a_new_name_are_cut():
    one = sentence("a rash , or fever", (2, 6, "Condition"), words=[(0, 1), (2, 6), (7, 8), (9, 11), (12, 17)])
    [new] = replace_entities([one], {"Condition": ["5-mm papule"]}, 1.0)
    assert [new.text[start:end] for start, end in new.words] == ["a", "5", "-", "mm", "papule", ",", "or", "fever"]


def test_mentions_that_overlap_are_left_alone():
    one = sentence("zolast rash and rash", (0, 6, "Drug"), (0, 11, "Condition"), (16, 20, "Condition"))
    [new] = replace_entities([one], NAMES, 1.0)
    assert surfaces(new) == [("zolast", "Drug"), ("zolast rash", "Condition"), ("tremor of the hand", "Condition")]


def test_the_seed_decides():
    many = [sentence("rash of zolast", (0, 4, "Condition"), (8, 14, "Drug"))] * 40
    assert replace_entities(many, NAMES, 0.5, 1) == replace_entities(many, NAMES, 0.5, 1)
    assert replace_entities(many, NAMES, 0.5, 1) != replace_entities(many, NAMES, 0.5, 2)


@pytest.mark.parametrize(("share", "names"), [(1.5, ["a"]), (-0.1, ["a"]), (0.5, [""]), (0.5, ["a "])])
def test_a_share_or_name_that_cannot_be_is_refused(share: float, names: list[str]):
    with pytest.raises(ValueError, match=r"not between 0 and 1|is no name for Drug"):
        replace_entities([], {"Drug": names}, share)


def share_replaced(before: Sequence[AnnotatedSentence], after: Sequence[AnnotatedSentence]) -> float:
    """The share of entities that differ, all of them with their labels."""
    pairs = [
        (old, new)
        for one, other in zip(before, after, strict=True)
        for old, new in zip(surfaces(one), surfaces(other), strict=True)
    ]
    assert all(old[1] == new[1] for old, new in pairs)
    return sum(old != new for old, new in pairs) / len(pairs)


def test_a_fifth_of_the_entities_of_a_corpus_differs():
    chooser = random.Random(5)
    sentences = []
    for _ in range(700):
        drug, condition = chooser.choice(NAMES["Drug"]), chooser.choice(NAMES["Condition"])
        text = f"{drug} gave {condition}."
        sentences.append(
            sentence(text, (0, len(drug), "Drug"), (len(drug) + 6, len(drug) + 6 + len(condition), "Condition"))
        )
    assert 0.19 <= share_replaced(sentences, replace_entities(sentences, NAMES)) <= 0.21


def test_a_fifth_of_craft_s_entities_differs(corpora: Path):
    documents = load_corpus(corpora / "craft" / "craft_iob_devel.tsv.gz").documents
    sentences = [one for document in documents for one in split_document(document, FullStops())]
    names = {label: [] for label in ("Sequence", "Cell", "Protein", "Taxon", "Chemical", "CellularComponent")}
    for one in sentences:
        for surface, label in surfaces(one):
            names[label].append(surface)
    assert 0.19 <= share_replaced(sentences, replace_entities(sentences, names)) <= 0.21
