"""Finds doses: an amount, a unit, and what it is given by: "5 mg", "0.5-1 mg/kg/day", "400 IU daily"."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from comention.settings import AnnotateSettings
from comention.types import AnnotatorInfo, Mention, SentenceAnnotation

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_AMOUNT = rf"{_NUMBER}(?:\s?(?:-|–|to|and|or|±|x|×)\s?{_NUMBER}(?:\^?\d+|[⁰¹²³⁴⁵⁶⁷⁸⁹]+)?)?"
_UNIT = r"(?:[munpkµμ]?g|mcg|[munpµμd]?[lL]|[munpµμ]?mol|[munpµμ]?M|m?Eq|[kM]?IU|[kM]?U|units?|tablets?|cells?|%)"
_PER = r"(?:\s?(?:/|per\s)\s?(?:kg|day|d|h|hour|week|month|dose|m2|m²|[md]?[lL])|\s(?:kg|day|h|m)\s?[-−⁻][12¹²])"
_FREQUENCY = r"(?:\s(?:once|twice|three\stimes)?\s?(?:daily|weekly|a\sday|b\.?i\.?d\b\.?|t\.?i\.?d\b\.?))"
_DOSE = re.compile(rf"(?<![\w.,]){_AMOUNT}\s?-?{_UNIT}(?!\w){_PER}*{_FREQUENCY}?")


class DoseAnnotator:
    """Finds doses by a regular expression. It keeps nothing between calls, so threads may share it."""

    @property
    def info(self) -> AnnotatorInfo:
        """What identifies this annotator; the hash changes with whatever changes its mentions."""
        pattern = hashlib.sha256(_DOSE.pattern.encode()).hexdigest()[:16]
        return AnnotatorInfo(
            name="doses", version="1", model="comention-doses", revision="1.0", labels=("Dose",), config_hash=pattern
        )

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        """Annotate a batch: one result for each sentence, in their order."""
        return [SentenceAnnotation(mentions=tuple(_doses(sentence))) for sentence in sentences]


def _doses(sentence: str) -> list[Mention]:
    return [
        Mention(start_char=found.start(), end_char=found.end(), label="Dose", score=1.0)
        for found in _DOSE.finditer(sentence)
    ]


def load(settings: AnnotateSettings) -> DoseAnnotator:
    """Make the annotator; the entry point names this. A larger one would read ``settings.threads`` and load a model."""
    return DoseAnnotator()
