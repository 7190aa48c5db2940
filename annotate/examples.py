"""From annotated sentences to training examples: piece ids and, for every piece, the tags it may have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotate.corpora import AnnotatedSentence, Span, disjoint_spans
from annotate.folder import SPECIAL_PIECES, Head
from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from tokenizers import Encoding

    from annotate.words import Words

# Sentences of about one length share a batch; this many batches are sorted together, so that their order stays random.
_BATCHES_SORTED_TOGETHER = 50
_MOST_TAGS = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A sentence, or a window of a long one, under one head.

    ``pieces`` are the ids with the special ones around, [CLS] and [SEP] of BERT; ``permitted`` is a mask [pieces without
    these two, tags]. ``text`` is the sentence, empty for a window of a longer one.
    """

    head: str
    pieces: NDArray[np.int64]
    permitted: NDArray[np.bool_]
    text: str = ""


def plain_examples(words: Words, texts: Sequence[str], max_pieces: int) -> list[Example]:
    """Return the examples of sentences of which nothing is known, under no head; empty ones are left out."""
    window = max_pieces - SPECIAL_PIECES
    nothing = np.zeros((0, 0), dtype=bool)
    encodings = words.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [
        Example(
            head="",
            pieces=np.array([*words.before, *ids[start : start + window], *words.behind]),
            permitted=nothing,
            text=text if len(ids) <= window else "",
        )
        for text, ids in zip(texts, (one.ids for one in encodings), strict=True)
        for start in range(0, len(ids), window)
    ]


def build_examples(
    words: Words,
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
    window = max_pieces - SPECIAL_PIECES
    examples = []
    encodings = words.tokenizer.encode_batch([sentence.text for sentence in sentences], add_special_tokens=False)
    for sentence, encoding in zip(sentences, encodings, strict=True):
        permitted = np.tile(blank, (len(encoding.ids), 1))
        for index, tag in piece_tags(encoding, sentence.spans, words.numbers(sentence.text, encoding)):
            permitted[index] = False
            permitted[index, tag_ids[tag]] = True
        for start in range(0, len(encoding.ids), window):
            ids = encoding.ids[start : start + window]
            examples.append(
                Example(
                    head=head.name,
                    pieces=np.array([*words.before, *ids, *words.behind]),
                    permitted=permitted[start : start + window],
                    text=sentence.text if len(encoding.ids) <= window else "",
                )
            )
    return examples


def piece_tags(
    encoding: Encoding, spans: Sequence[Span], numbers: Sequence[int | None] | None = None
) -> Iterator[tuple[int, str]]:
    """Yield (piece, tag) for the pieces of every word that a span touches, the pieces of one mention in order.

    ``numbers`` says which word each piece belongs to; unset, the tokenizer says it.
    """
    words: dict[int, list[int]] = {}
    for index, word in enumerate(encoding.word_ids if numbers is None else numbers):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedExamples:
    """Examples one after another in flat arrays, as training takes them.

    ``pieces`` are the ids of all examples, special ones included; ``permitted`` has a bit for every tag of all heads, set
    where the piece may have that tag under the head of its example, and 0 where nothing is known of the piece.
    Example i lies at ``starts[i]`` to ``starts[i + 1]``.
    """

    pieces: NDArray[np.int32]
    permitted: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many pieces each example has."""
        return np.diff(self.starts)


def pack_examples(examples: Sequence[Example], heads: Sequence[Head]) -> PackedExamples:
    """Pack examples; the tags of ``heads`` are counted through, head after head. An example without a head has no tags."""
    first_tag = dict(zip((head.name for head in heads), tag_offsets(heads), strict=True))
    if sum(len(head.tags) for head in heads) > _MOST_TAGS:
        raise AnnotatorError(f"the heads have more than {_MOST_TAGS} tags together, B and I of every label counted")
    permitted = []
    for example in examples:
        bits = np.zeros(len(example.pieces), dtype=np.int64)
        if example.head:
            tags = example.permitted.shape[1]
            places = np.int64(1) << np.arange(first_tag[example.head], first_tag[example.head] + tags, dtype=np.int64)
            bits[1:-1] = example.permitted @ places
        permitted.append(bits)
    lengths = [len(example.pieces) for example in examples]
    return PackedExamples(
        pieces=np.concatenate([example.pieces for example in examples]).astype(np.int32),
        permitted=np.concatenate(permitted),
        starts=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
    )


def tag_offsets(heads: Sequence[Head]) -> list[int]:
    """Return the number of the first tag of each head where the tags of all heads are counted through."""
    sizes = [len(head.tags) for head in heads]
    return [sum(sizes[:index]) for index in range(len(sizes))]


def batches(lengths: NDArray[np.int64], size: int, chooser: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return one epoch's batches, as numbers of examples: random, but each of about one length, so that little is
    padded.
    """
    order = chooser.permutation(len(lengths))
    chunk = size * _BATCHES_SORTED_TOGETHER
    found = []
    for start in range(0, len(order), chunk):
        near = order[start : start + chunk]
        near = near[np.argsort(lengths[near], kind="stable")]
        found += [near[at : at + size] for at in range(0, len(near), size)]
    return [found[index] for index in chooser.permutation(len(found))]
