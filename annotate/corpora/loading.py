"""Loading a corpus from whatever format it is in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from annotate.corpora.ade import AE_TABLE, read_ade
from annotate.corpora.bioc import read_bioc_json, read_bioc_xml
from annotate.corpora.craft_iob import TAG, read_iob
from annotate.corpora.craft_standoff import read_craft_standoff
from annotate.corpora.model import AnnotatedDocument, Corpus, Span, order_labels, read_types
from annotate.corpora.pubtator import HEADER, read_pubtator
from annotate.corpora.reference import CorpusReference, parse_reference, select_part
from annotate.text_files import read_lines
from comention.errors import AnnotatorError

Reader = Callable[[Path], list[AnnotatedDocument]]

_ADE, _IOB, _STANDOFF, _XML, _JSON, _PUBTATOR = "ade", "iob", "standoff", "bioc-xml", "bioc-json", "pubtator"
_READERS: Mapping[str, Reader] = {
    _ADE: read_ade,
    _IOB: read_iob,
    _STANDOFF: read_craft_standoff,
    _XML: read_bioc_xml,
    _JSON: read_bioc_json,
    _PUBTATOR: read_pubtator,
}
_SUFFIXES = {
    ".rel": _ADE,
    ".tsv": _IOB,
    ".iob": _IOB,
    ".iob2": _IOB,
    ".bio": _IOB,
    ".conll": _IOB,
    ".jsonl": _STANDOFF,
    ".xml": _XML,
    ".json": _JSON,
    ".pubtator": _PUBTATOR,
}
_CRAFT_CODES = frozenset(("SO", "CL", "GGP", "CHEBI"))
_NCBI_TYPES = frozenset(("SpecificDisease", "DiseaseClass", "CompositeMention", "Modifier"))
_BIORED_TYPES = frozenset(("ChemicalEntity", "DiseaseOrPhenotypicFeature", "GeneOrGeneProduct"))


def load_corpus(reference: str | Path) -> Corpus:
    """Load a corpus by a reference: a path, or a path with a selection as in ``annotate.corpora.reference``.

    The formats: ADE (a ``.rel`` table or the folder that holds ``DRUG-AE.rel``), PubTator, IOB tables of words and tags,
    CRAFT's standoff JSON lines, BioC XML and JSON; any of them gzipped. Types that have no label of ours are left out.

    Raises: AnnotatorError: the file is missing, is in none of these formats, or has an offset that does not fit its
        text; the message names the file and the line.
    """
    asked = parse_reference(reference)
    path = asked.path
    if path.is_dir():
        path = next(
            (table for name in (AE_TABLE, f"{AE_TABLE}.gz") if (table := path / name).is_file()), path / AE_TABLE
        )
    if not path.is_file():
        raise AnnotatorError(
            f"the corpus {path} does not exist; give a file in PubTator, BioC, IOB or CRAFT standoff format, "
            f"or a folder with {AE_TABLE}"
        )
    form = _recognise(path)
    if asked.extensions and form != _STANDOFF:
        raise AnnotatorError(f"the corpus {path}: spans=all is for CRAFT's standoff release only")
    documents = read_craft_standoff(path, extensions=True) if asked.extensions else _READERS[form](path)
    types = {span.label for document in documents for span in document.spans}
    corpus = Corpus(
        name="ade" if form == _ADE else path.name.split(".")[0],
        labels=(),
        documents=tuple(documents),
        guideline=asked.guideline or _guideline(form, types),
    )
    always = ("Drug", "Condition") if form == _ADE else ()
    return select_part(_labelled(corpus, types, always, asked), asked)


def _recognise(path: Path) -> str:
    """Tell the format from the name of a file, else from its first line that is not blank."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if suffixes and suffixes[-1] in _SUFFIXES:
        return _SUFFIXES[suffixes[-1]]
    first = next((line for line in read_lines(path) if line.strip()), "")
    fields = first.split("\t")
    if HEADER.fullmatch(first):
        return _PUBTATOR
    if first.lstrip().startswith("<"):
        return _XML
    if first.lstrip().startswith("{"):
        return _STANDOFF if '"doc_id"' in first else _JSON
    if re.fullmatch(r"\d+\|[^|]*(\|[^|]*){6}", first):
        return _ADE
    return _IOB if len(fields) == 2 and TAG.fullmatch(fields[1]) else _PUBTATOR


def _guideline(form: str, types: set[str]) -> str:
    """Name the annotation guideline that a format or its type names give away."""
    if form in (_ADE, _STANDOFF):
        return {_ADE: "ade", _STANDOFF: "craft5"}[form]
    if form == _IOB:
        return "craft" if types & _CRAFT_CODES else ""
    if types & _NCBI_TYPES:
        return "ncbi"
    if types & _BIORED_TYPES:
        return "biored"
    return "cdr" if types == {"Chemical", "Disease"} else ""


def _labelled(corpus: Corpus, types: set[str], always: tuple[str, ...], asked: CorpusReference) -> Corpus:
    """Give the spans of a corpus the labels of their types, or those that were asked for."""
    labels = read_types(types)
    if asked.labels:
        labels = _selected(types, always, asked)
        always = ()
    elif types and not labels:
        raise AnnotatorError(
            f"the corpus {asked.path} has the types {', '.join(sorted(types))}, and none has a label; "
            "say what they are: ?labels=TYPE:LABEL"
        )
    documents = tuple(
        replace(
            document,
            spans=tuple(
                sorted(
                    {
                        Span(start_char=span.start_char, end_char=span.end_char, label=labels[span.label])
                        for span in document.spans
                        if span.label in labels
                    }
                )
            ),
        )
        for document in corpus.documents
    )
    return replace(corpus, labels=order_labels([*labels.values(), *always]), documents=documents)


def _selected(types: set[str], always: tuple[str, ...], asked: CorpusReference) -> dict[str, str]:
    """Return type to label for the labels, or types, that a reference selects."""
    known = {**{label: label for label in always}, **read_types(types)}
    chosen: dict[str, str] = {}
    for name, label in asked.labels:
        matching = [kind for kind, read in known.items() if read == name] or [kind for kind in types if kind == name]
        if not matching:
            annotated = ", ".join(order_labels(known.values()))
            raise AnnotatorError(
                f"the corpus {asked.path} does not annotate {name!r}; it has {annotated or 'no known label'} "
                f"(its types: {', '.join(sorted(types)) or 'none'})"
            )
        for kind in matching:
            if kind in chosen:
                raise AnnotatorError(f"the corpus {asked.path}: labels= names {kind} twice")
            chosen[kind] = label or known.get(kind, kind)
    return chosen
