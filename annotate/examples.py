"""From annotated sentences to training examples: piece ids and, for every piece, the tags it may have."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotate.corpora import AnnotatedSentence, Span, disjoint_spans
from annotate.folder import SPECIAL_PIECES, Head
from annotate.pieces import special_ids

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

# Sentences of about one length share a batch; this many batches are sorted together, so that their order stays random.
_BATCHES_SORTED_TOGETHER = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A sentence, or a window of a long one, under one head.

    ``pieces`` are the ids with [CLS] and [SEP]; ``permitted`` is a mask [pieces without these two, tags].
    """

    head: str
    pieces: NDArray[np.int64]
    permitted: NDArray[np.bool_]


def build_examples(
    tokenizer: Tokenizer,
    sentences: Sequence[AnnotatedSentence],
    head: Head,
    annotated_labels: Sequence[str],
    max_pieces: int,
) -> list[Example]:
    """Return the examples of sentences whose corpus annotates ``annotated_labels``, some of the labels of ``head``.

    Every piece of a word carries its word's tag, B on the first piece of a mention and I on the rest. Where nothing is
    annotated, the tags of labels that the corpus does not know are as permitted as O. A sentence that is longer than
    the window is cut, without overlap.
    """
    tag_ids = {tag: index for index, tag in enumerate(head.tags)}
    blank = np.array([tag == "O" or tag[2:] not in annotated_labels for tag in head.tags])
    cls, sep = special_ids(tokenizer)
    window = max_pieces - SPECIAL_PIECES
    examples = []
    encodings = tokenizer.encode_batch([sentence.text for sentence in sentences], add_special_tokens=False)
    for sentence, encoding in zip(sentences, encodings, strict=True):
        permitted = np.tile(blank, (len(encoding.ids), 1))
        for index, tag in piece_tags(encoding, sentence.spans):
            permitted[index] = False
            permitted[index, tag_ids[tag]] = True
        for start in range(0, len(encoding.ids), window):
            ids = encoding.ids[start : start + window]
            examples.append(
                Example(head=head.name, pieces=np.array([cls, *ids, sep]), permitted=permitted[start : start + window])
            )
    return examples


def piece_tags(encoding: Encoding, spans: Sequence[Span]) -> Iterator[tuple[int, str]]:
    """Yield (piece, tag) for the pieces of every word that a span touches, the pieces of one mention in order."""
    words: dict[int, list[int]] = {}
    for index, word in enumerate(encoding.word_ids):
        if word is not None:
            words.setdefault(word, []).append(index)
    bounds = [(encoding.offsets[pieces[0]][0], encoding.offsets[pieces[-1]][1], pieces) for pieces in words.values()]
    tagged: set[int] = set()
    for span in disjoint_spans(spans):
        touched = [
            piece
            for start, end, pieces in bounds
            if start < span.end_char and end > span.start_char
            for piece in pieces
            if piece not in tagged  # two mentions that meet within one word: the first has it
        ]
        tagged.update(touched)
        for position, piece in enumerate(touched):
            yield piece, f"{'I' if position else 'B'}-{span.label}"


def batches(examples: Sequence[Example], size: int, shuffler: random.Random) -> list[list[Example]]:
    """Return one epoch's batches: random, but each of about one length, so that little is padded."""
    order = list(range(len(examples)))
    shuffler.shuffle(order)
    chunk = size * _BATCHES_SORTED_TOGETHER
    found = []
    for start in range(0, len(order), chunk):
        near = sorted(order[start : start + chunk], key=lambda index: len(examples[index].pieces))
        found += [[examples[index] for index in near[at : at + size]] for at in range(0, len(near), size)]
    shuffler.shuffle(found)
    return found
