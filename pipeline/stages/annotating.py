"""Annotation with progress, as the commands `annotate`, `run` and `demo` show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import Progress

from pipeline.stages.annotate_stage import annotate_pending

if TYPE_CHECKING:
    from comention.types import Annotator
    from storage.annotations import AnnotationCounts
    from storage.database import Database


def annotate_owed(
    database: Database, annotator: Annotator, progress: Progress, *, batch_citations: int
) -> tuple[AnnotationCounts, int]:
    """Annotate whatever is owed to an annotator and show how far it is.

    Returns what was annotated, and how many citations have failed too often to be tried again.
    """
    from storage.annotations import count_given_up, count_pending
    from storage.annotators import list_registered, register_annotator

    name = annotator.info.name
    annotator_id = register_annotator(database, annotator.info)
    _, sentences = count_pending(database, annotator_id)
    bar = progress.add_task(f"annotate with {name}", total=sentences, unit="sentences")
    counts = annotate_pending(
        database,
        annotator,
        batch_citations=batch_citations,
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
