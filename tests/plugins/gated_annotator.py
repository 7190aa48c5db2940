"""An annotator plugin for tests: the lexicon, behind a gate. While the file that GATE names exists, nothing gets through."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from lexicon_annotator import LexiconAnnotator

from comention.settings import AnnotateSettings
from comention.types import SentenceAnnotation


class GatedAnnotator(LexiconAnnotator):
    """Writes its process id into the file ``GATE.reached`` when it stands before the gate."""

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        gate = Path(os.environ["GATE"])
        gate.with_suffix(".reached").write_text(str(os.getpid()))
        while gate.exists():
            time.sleep(0.01)
        return super().annotate(sentences)


def load(settings: AnnotateSettings) -> GatedAnnotator:
    return GatedAnnotator(name="gated")
