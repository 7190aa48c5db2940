"""Annotation with progress, as the commands `annotate`, `run` and `demo` show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import Progress

from pipeline.annotate_stage import annotate_pending

if TYPE_CHECKING:
    from comention.settings import AnnotateSettings
    from storage.annotations import AnnotationCounts
    from storage.database import Database


def annotate_owed(
    database: Database, settings: AnnotateSettings, progress: Progress, *, annotator_name: str | None = None
) -> AnnotationCounts:
    """Load the annotator, annotate whatever is owed to it and show how far it is."""
    from annotate.registry import load_annotator
    from storage.annotations import AnnotationCounts, count_pending
    from storage.annotators import register_annotator

    name = annotator_name or settings.annotator
    bar = progress.add_task(f"annotate with {name}", total=None, unit="sentences", start=False)
    annotator = load_annotator(name, settings)
    citations, sentences = count_pending(database, register_annotator(database, annotator.info))
    progress.update(bar, total=sentences)
    progress.start_task(bar)  # loading is over: the rate is that of annotating
    if not citations:
        return AnnotationCounts()
    return annotate_pending(
        database,
        annotator,
        batch_citations=settings.batch_citations,
        on_progress=lambda counts: progress.advance(bar, counts.sentences),
    )
