"""An annotator plugin for tests: it finds the words of a short list, at once and always the same ones.

It is found as any plugin is, through the entry point that stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from comention.errors import AnnotatorError
from comention.settings import AnnotateSettings
from comention.types import AnnotationStatus, AnnotatorInfo, Mention, SentenceAnnotation

DRUGS = (
    "carbamazepine", "valproate", "lithium", "clozapine", "amiodarone", "methotrexate", "warfarin", "ibuprofen",
)  # fmt: skip
CONDITIONS = (
    "rash", "agranulocytosis", "hepatitis", "tremor", "pneumonitis", "haemorrhage", "nausea", "syncope",
)  # fmt: skip
_WORDS = re.compile(rf"\b(?:(?P<Drug>{'|'.join(DRUGS)})|(?P<Condition>{'|'.join(CONDITIONS)}))\b", re.IGNORECASE)

POISON = "a sentence that no annotator can read"
CRASH = "a sentence at which the whole batch fails"


class LexiconAnnotator:
    """Finds words of the list; the sentences named above make it misbehave."""

    def __init__(self, name: str = "lexicon", version: str = "1") -> None:
        self._info = AnnotatorInfo(
            name=name, version=version, model="lexicon", revision="1", labels=("Drug", "Condition"), config_hash="0"
        )

    @property
    def info(self) -> AnnotatorInfo:
        return self._info

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        return [self._annotate(sentence) for sentence in sentences]

    def _annotate(self, sentence: str) -> SentenceAnnotation:
        if CRASH in sentence:
            raise RuntimeError("out of patience")
        if POISON in sentence:
            return SentenceAnnotation(status=AnnotationStatus.FAILED, detail="it is poison")
        return SentenceAnnotation(
            mentions=tuple(
                Mention(start_char=found.start(), end_char=found.end(), label=str(found.lastgroup), score=0.9)
                for found in _WORDS.finditer(sentence)
            )
        )


def load(settings: AnnotateSettings) -> LexiconAnnotator:
    return LexiconAnnotator()


def load_second(settings: AnnotateSettings) -> LexiconAnnotator:
    return LexiconAnnotator(name="second")


def load_broken(settings: AnnotateSettings) -> LexiconAnnotator:
    raise AnnotatorError("the broken annotator cannot be loaded: it is broken")
