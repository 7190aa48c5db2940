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
) -> tuple[AnnotationCounts, int]:
    """Load the annotator, annotate whatever is owed to it and show how far it is.

    Returns what was annotated, and how many citations have failed too often to be tried again.
    """
    from annotate.registry import load_annotator
    from storage.annotations import count_given_up, count_pending
    from storage.annotators import list_registered, register_annotator

    name = annotator_name or settings.annotator
    bar = progress.add_task(f"annotate with {name}", total=None, unit="sentences", start=False)
    annotator = load_annotator(name, settings)
    annotator_id = register_annotator(database, annotator.info)
    _, sentences = count_pending(database, annotator_id)
    progress.update(bar, total=sentences)
    progress.start_task(bar)  # loading is over: the rate is that of annotating
    counts = annotate_pending(
        database,
        annotator,
        batch_citations=settings.batch_citations,
        on_progress=lambda counts: progress.advance(bar, counts.sentences),
    )
    promoted = next((one for one in list_registered(database) if one.promoted), None)
    if promoted is not None and promoted.annotator_id != annotator_id:
        progress.console.print(
            f"{name} {annotator.info.revision[:8]} has annotated, and the views still show {promoted.info.name} "
            f"{promoted.info.revision[:8]}: `comention annotators promote {name}` shows the new mentions and counts",
            markup=False,
            soft_wrap=True,
        )
    return counts, count_given_up(database, annotator_id)
