from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from annotate.corpora import AnnotatedSentence, Span
from annotate.examples import batches, build_examples, piece_tags
from annotate.folder import Head
from annotate.trainable import permitted_tags_loss
from tests.annotate.models import TAGS, make_tokenizer

HEAD = Head(name="test", tags=TAGS, prefix="heads.test")
TOKENIZER = make_tokenizer(["rash", "pr", "##uc", "##alo"])


def span(start: int, end: int, label: str = "Drug") -> Span:
    return Span(start_char=start, end_char=end, label=label)


def tagged(text: str, *spans: Span) -> list[str]:
    encoding = TOKENIZER.encode(text, add_special_tokens=False)
    tags = dict(piece_tags(encoding, spans))
    return [f"{piece}/{tags.get(index, 'O')}" for index, piece in enumerate(encoding.tokens)]


def test_every_piece_of_a_mention_is_labelled_and_only_the_first_begins_it():
    assert tagged("a prucalo rash", span(2, 9), span(10, 14, "Condition")) == [
        "a/O",
        "pr/B-Drug",
        "##uc/I-Drug",
        "##alo/I-Drug",
        "rash/B-Condition",
    ]


def test_a_span_within_a_word_takes_the_whole_word():
    assert tagged("prucalo", span(2, 4)) == ["pr/B-Drug", "##uc/I-Drug", "##alo/I-Drug"]


def test_of_two_mentions_within_one_word_the_first_has_it():
    assert tagged("prucalo", span(0, 2), span(2, 4, "Condition")) == ["pr/B-Drug", "##uc/I-Drug", "##alo/I-Drug"]


def permitted(labels: tuple[str, ...]) -> list[set[str]]:
    sentence = AnnotatedSentence(pmid=1, start_char=0, text="a rash", spans=(span(2, 6, "Condition"),))
    (example,) = build_examples(TOKENIZER, [sentence], HEAD, labels, 64)
    assert len(example.pieces) == len(example.permitted) + 2
    return [{TAGS[tag] for tag in np.flatnonzero(row)} for row in example.permitted]


def test_a_corpus_denies_only_the_labels_it_annotates():
    assert permitted(("Drug", "Condition")) == [{"O"}, {"B-Condition"}]
    assert permitted(("Condition",)) == [{"O", "B-Drug", "I-Drug"}, {"B-Condition"}]


def test_a_long_sentence_is_cut_and_nothing_of_it_is_lost():
    sentence = AnnotatedSentence(pmid=1, start_char=0, text="rash " * 25, spans=())
    examples = build_examples(TOKENIZER, [sentence], HEAD, ("Drug", "Condition"), 12)
    assert [len(example.pieces) for example in examples] == [12, 12, 7]


def test_the_loss_is_the_cross_entropy_where_one_tag_is_permitted():
    torch.manual_seed(0)
    logits, gold = torch.randn(6, 5), torch.randint(5, (6,))
    mask = torch.nn.functional.one_hot(gold, 5).bool()
    expected = torch.nn.functional.cross_entropy(logits, gold)
    assert permitted_tags_loss(logits, mask).item() == pytest.approx(expected.item())
    assert permitted_tags_loss(logits, torch.ones(6, 5).bool()).item() == pytest.approx(0.0, abs=1e-6)


def test_an_epoch_has_every_example_once_in_batches_of_like_length():
    sentences = [
        AnnotatedSentence(pmid=1, start_char=0, text=" ".join("a" * words), spans=()) for words in range(1, 51)
    ]
    examples = build_examples(TOKENIZER, sentences, HEAD, ("Drug",), 64)
    epoch = batches(examples, 8, random.Random(1))
    lengths = [[len(example.pieces) for example in batch] for batch in epoch]
    assert sorted(length for batch in lengths for length in batch) == list(range(3, 53))
    assert all(max(batch) - min(batch) < 8 for batch in lengths)
    assert batches(examples, 8, random.Random(1)) == epoch
    assert lengths != sorted(lengths)
