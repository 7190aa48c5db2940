from __future__ import annotations

import numpy as np
import pytest
import torch

from annotate.corpora import AnnotatedSentence, Span
from annotate.examples import Example, batches, build_examples, pack_examples, piece_tags, plain_examples
from annotate.folder import Head, head_tags
from annotate.trainable import permitted_tags_loss
from annotate.words import MarkedWords
from comention.errors import AnnotatorError
from tests.annotate.models import TAGS, make_tokenizer

HEAD = Head(name="test", tags=TAGS, prefix="heads.test")
TOKENIZER = make_tokenizer(["rash", "pr", "##uc", "##alo"])
WORDS = MarkedWords(TOKENIZER)


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
    (example,) = build_examples(WORDS, [sentence], HEAD, labels, 64)
    assert len(example.pieces) == len(example.permitted) + 2
    return [{TAGS[tag] for tag in np.flatnonzero(row)} for row in example.permitted]


def test_a_corpus_denies_only_the_labels_it_annotates():
    assert permitted(("Drug", "Condition")) == [{"O"}, {"B-Condition"}]
    assert permitted(("Condition",)) == [{"O", "B-Drug", "I-Drug"}, {"B-Condition"}]


def test_a_long_sentence_is_cut_and_nothing_of_it_is_lost():
    sentence = AnnotatedSentence(pmid=1, start_char=0, text="rash " * 25, spans=())
    examples = build_examples(WORDS, [sentence], HEAD, ("Drug", "Condition"), 12)
    assert [len(example.pieces) for example in examples] == [12, 12, 7]


def test_the_loss_is_the_cross_entropy_where_one_tag_is_permitted():
    torch.manual_seed(0)
    logits, gold = torch.randn(6, 5), torch.randint(5, (6,))
    logs = logits.log_softmax(-1)
    mask = torch.nn.functional.one_hot(gold, 5).bool()
    expected = torch.nn.functional.cross_entropy(logits, gold)
    assert permitted_tags_loss(logs, mask).mean().item() == pytest.approx(expected.item())
    assert permitted_tags_loss(logs, torch.ones(6, 5).bool()).mean().item() == pytest.approx(0.0, abs=1e-6)


def test_packed_examples_keep_pieces_and_the_tags_of_their_own_head():
    other = Head(name="other", tags=head_tags(("Taxon",)), prefix="heads.other")

    def example(head: Head, label: str) -> Example:
        spans = (Span(start_char=2, end_char=6, label=label),)
        sentence = AnnotatedSentence(pmid=1, start_char=0, text="a rash", spans=spans)
        return build_examples(WORDS, [sentence], head, head.labels, 64)[0]

    first, second = example(HEAD, "Condition"), example(other, "Taxon")
    plain = plain_examples(WORDS, ["a rash", ""], 64)
    packed = pack_examples([first, second, *plain], (HEAD, other))
    assert packed.lengths.tolist() == [len(first.pieces), len(second.pieces), len(first.pieces)]
    assert packed.pieces[: len(first.pieces)].tolist() == first.pieces.tolist()
    outside, begin = 1 << len(HEAD.tags), 2 << len(HEAD.tags)
    at = packed.starts[1]
    assert packed.permitted[at : at + 3].tolist() == [0, outside, begin]
    assert packed.permitted[packed.starts[2] :].tolist() == [0] * len(first.pieces)


def test_heads_with_too_many_tags_are_refused():
    many = Head(name="many", tags=head_tags(tuple(f"L{index}" for index in range(40))), prefix="heads.many")
    with pytest.raises(AnnotatorError, match="more than 63 tags"):
        pack_examples([], (many,))


def test_an_epoch_has_every_example_once_in_batches_of_like_length():
    lengths = np.arange(3, 53)
    epoch = batches(lengths, 8, np.random.default_rng(1))
    assert sorted(index for batch in epoch for index in batch) == list(range(50))
    assert all(np.ptp(lengths[batch]) < 8 for batch in epoch)
    again = batches(lengths, 8, np.random.default_rng(1))
    assert [batch.tolist() for batch in again] == [batch.tolist() for batch in epoch]
    assert [batch.tolist() for batch in epoch] != sorted(batch.tolist() for batch in epoch)
