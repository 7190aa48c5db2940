"""ADE v2: ``.rel`` tables, one row for a drug and an effect of a sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from annotate.corpora.model import AnnotatedDocument, Span
from annotate.text_files import read_lines
from comention.errors import AnnotatorError

AE_TABLE, DOSE_TABLE = "DRUG-AE.rel", "DRUG-DOSE.rel"
_FIELDS = 8


def read_ade(path: Path) -> list[AnnotatedDocument]:
    """Read every row of ``DRUG-AE.rel``, and the drugs of ``DRUG-DOSE.rel`` beside it in the same sentences.

    A row names one drug and one effect of its sentence in offsets of an abstract that the corpus does not hold; the
    rows of a sentence are merged, and the offset of the sentence is found from the spans' own texts. Sentences that
    occur only in ``DRUG-DOSE.rel`` are left out, since their effects are not annotated.

    Raises:
        AnnotatorError: a row has the wrong number of fields or offsets that fit nowhere in its sentence.
    """
    spans = _rows(path, first_label="Condition")
    doses = path.with_name(path.name.replace(AE_TABLE, DOSE_TABLE))
    if doses != path and doses.is_file():
        for key, found in _rows(doses, first_label=None).items():
            if key in spans:
                spans[key] |= found
    return [
        AnnotatedDocument(pmid=pmid, text=text, spans=tuple(sorted(found))) for (pmid, text), found in spans.items()
    ]


def _rows(path: Path, *, first_label: str | None) -> dict[tuple[int, str], set[Span]]:
    """Read one ``.rel`` table; the first span of a row gets ``first_label`` or is skipped, the second is the drug."""
    spans: dict[tuple[int, str], set[Span]] = defaultdict(set)
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split("|")
        if len(fields) != _FIELDS:
            raise AnnotatorError(f"{path}, line {number}: {len(fields)} fields instead of {_FIELDS}")
        pmid, text, first, first_start, _, drug, drug_start, _ = fields
        try:
            key = (int(pmid), text)
            distance = int(drug_start) - int(first_start)
        except ValueError:
            raise AnnotatorError(f"{path}, line {number}: a PMID or an offset is not a number") from None
        # The sentence's own offset is unknown, but the distance between the two spans is not.
        starts = [
            start
            for start in _occurrences(first, text)
            if start + distance >= 0 and text.startswith(drug, start + distance)
        ]
        if not starts:
            raise AnnotatorError(f"{path}, line {number}: the offsets do not fit the sentence of PMID {pmid}")
        start = starts[0]
        if first_label is not None:
            spans[key].add(Span(start_char=start, end_char=start + len(first), label=first_label))
        spans[key].add(Span(start_char=start + distance, end_char=start + distance + len(drug), label="Drug"))
    return spans


def _occurrences(needle: str, text: str) -> Iterator[int]:
    start = text.find(needle)
    while start >= 0 and needle:
        yield start
        start = text.find(needle, start + 1)
