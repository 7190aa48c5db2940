"""Annotated corpora: one module a format, one shape for all of them.

A reader returns documents with gold spans in document offsets, checked against the text; ``split_document`` cuts a
document into sentences, its own or those of the splitter that is passed in. Spans may overlap in a corpus:
``disjoint_spans`` says which of them a sequence of tags can express.
"""

from annotate.corpora.loading import load_corpus
from annotate.corpora.model import (
    LABELS,
    TYPE_LABELS,
    AnnotatedDocument,
    AnnotatedSentence,
    Corpus,
    Span,
    disjoint_spans,
    order_labels,
    split_document,
)
from annotate.corpora.reference import CorpusReference, parse_reference

__all__ = [
    "LABELS",
    "TYPE_LABELS",
    "AnnotatedDocument",
    "AnnotatedSentence",
    "Corpus",
    "CorpusReference",
    "Span",
    "disjoint_spans",
    "load_corpus",
    "order_labels",
    "parse_reference",
    "split_document",
]
