"""Keeping what a model will be scored on out of everything it is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from annotate.corpora import (
    AnnotatedDocument,
    AnnotatedSentence,
    Corpus,
    load_corpus,
    parse_reference,
    split_document,
)
from comention.types import Splitter

_LEAST_CHARACTERS = 30
"""Shorter sentences ("Results", "The mechanism is unknown.") occur in texts that have nothing to do with one another."""

_SHARED = 0.1
"""A text that has this share of its sentences in common with what is held out is that text, or another version of it."""


class HeldOut:
    """The documents and sentences that must not be seen. Texts are compared without white space and case, so that running
    text equals the same text cut into tokens.
    """

    def __init__(self, references: Sequence[str], splitter: Splitter) -> None:
        """Load the corpora that are held out; ``left_out`` counts the sentences of other corpora that this has cost.

        Where a reference takes the protocol of a published card, only its sentences are held out: such protocols split
        sentences, so their test sentences have neighbours among what is trained on.

        Raises:
            AnnotatorError: a corpus is missing or cannot be read.
        """
        self._splitter = splitter
        self._pmids: set[int] = set()
        self._sentences: set[str] = set()
        self.corpora = tuple(load_corpus(reference) for reference in references)
        self.left_out = 0
        for reference, corpus in zip(references, self.corpora, strict=True):
            if not parse_reference(reference).protocol:
                self._pmids.update(document.pmid for document in corpus.documents if document.pmid)
            for document in corpus.documents:
                self._sentences.update(_key(sentence.text) for sentence in split_document(document, splitter))

    def has_sentence(self, text: str) -> bool:
        """Tell whether a sentence is held out, word for word."""
        return len(key := _key(text)) >= _LEAST_CHARACTERS and key in self._sentences

    def sentences(self, corpus: Corpus) -> Iterator[AnnotatedSentence]:
        """Yield the sentences of a corpus that may be seen."""
        for document in corpus.documents:
            sentences = split_document(document, self._splitter)
            kept = [] if document.pmid in self._pmids else self._unseen(document, sentences)
            self.left_out += len(sentences) - len(kept)
            yield from kept

    def _unseen(self, document: AnnotatedDocument, sentences: list[AnnotatedSentence]) -> list[AnnotatedSentence]:
        kept = [sentence for sentence in sentences if not self.has_sentence(sentence.text)]
        same = len(sentences) - len(kept) >= max(2, _SHARED * len(sentences))
        return [] if same else kept


def _key(text: str) -> str:
    return "".join(text.split()).casefold()
