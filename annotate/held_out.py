"""Keeping what a model will be scored on out of everything it is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from annotate.corpora import AnnotatedDocument, AnnotatedSentence, Corpus, split_document
from comention.types import Splitter

_LEAST_CHARACTERS = 30
"""Shorter sentences ("Results", "The mechanism is unknown.") occur in texts that have nothing to do with one another."""

_SHARED = 0.1
"""A text that has this share of its sentences in common with what is held out is that text, or another version of it."""


class HeldOut:
    """The documents and sentences that must not be seen. Texts are compared without white space and case, so that running
    text equals the same text cut into tokens.
    """

    def __init__(self, corpora: Sequence[Corpus], splitter: Splitter) -> None:
        """Collect the PMIDs and the sentences of what is held out; ``left_out`` counts what that has cost."""
        self._splitter = splitter
        self._pmids = {
            document.pmid for corpus in corpora for document in corpus.documents if document.pmid and not corpus.by_sentence
        }
        self._sentences = {
            _key(sentence.text)
            for corpus in corpora
            for document in corpus.documents
            for sentence in split_document(document, splitter)
        }
        self.left_out = 0

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
