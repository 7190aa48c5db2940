"""Annotator plugins for tests of workers: one takes its time, one ends the process at a sentence, as a defect in C would."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from comention.settings import AnnotateSettings
from comention.types import SentenceAnnotation
from tests.plugins.lexicon_annotator import LexiconAnnotator

DEADLY = "the process ends"
SECONDS_A_SENTENCE = float(os.environ.get("SECONDS_A_SENTENCE", "0.002"))


class SlowAnnotator(LexiconAnnotator):
    """Finds what the lexicon finds, by default at 500 sentences a second."""

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        time.sleep(SECONDS_A_SENTENCE * len(sentences))
        return super().annotate(sentences)


class DeadlyAnnotator(LexiconAnnotator):
    """Finds what the lexicon finds, and does not survive a sentence with the words of ``DEADLY``."""

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        if any(DEADLY in sentence for sentence in sentences):
            os._exit(9)
        return super().annotate(sentences)


def load_slow(settings: AnnotateSettings) -> SlowAnnotator:
    return SlowAnnotator(name="slow")


def load_deadly(settings: AnnotateSettings) -> DeadlyAnnotator:
    return DeadlyAnnotator(name="deadly")
