"""Reports of wrong mentions, as readers make and see them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal, cast

from storage.reading import Snapshot

Reason = Literal["not a mention", "wrong span", "wrong label", "wrong concept", "other"]
Outcome = Literal["stored", "repeated", "unknown", "too many"]

COMMENT_LENGTH = 1_000
MENTIONS_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceMention:
    """A mention of a sentence; offsets are of the sentence, in code points."""

    annotator_id: int
    annotator: str
    label: str
    start_char: int
    end_char: int
    text: str
    concept: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MentionReport:
    """What somebody has reported before; as `analysis.mention_report`."""

    reported_at: dt.datetime
    annotator: str
    label: str
    text: str
    reason: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedSentence:
    """A sentence with the mentions in it, `MENTIONS_SHOWN` at most, and the latest reports of them."""

    sentence_id: int
    pmid: int
    text: str
    title: str
    mentions: tuple[SentenceMention, ...]
    reports: tuple[MentionReport, ...]


def get_reported_sentence(
    snapshot: Snapshot, sentence_id: int, *, annotator_id: int | None = None
) -> ReportedSentence | None:
    """Return a sentence with the mentions of an annotator, or of all; None where it is not stored."""
    asked = {"sentence": sentence_id, "pmid": sentence_id // 100_000}
    rows = snapshot.rows(
        "SELECT s.sentence_id, s.pmid, s.text, c.title FROM analysis.sentence s JOIN analysis.citation c USING (pmid) "
        "WHERE s.pmid = :pmid AND s.sentence_id = :sentence",
        **asked,
    )
    if not rows:
        return None
    mentions = snapshot.rows(
        "SELECT annotator_id, annotator, label, start_char, end_char, text, concept FROM analysis.annotator_mention "
        "WHERE pmid = :pmid AND sentence_id = :sentence "
        "AND (CAST(:annotator AS integer) IS NULL OR annotator_id = :annotator) "
        "ORDER BY start_char, end_char DESC, label, annotator_id LIMIT :limit",
        annotator=annotator_id,
        limit=MENTIONS_SHOWN,
        **asked,
    )
    reports = snapshot.rows(
        "SELECT reported_at, annotator, label, text, reason, comment FROM analysis.mention_report "
        "WHERE pmid = :pmid AND sentence_id = :sentence ORDER BY report_id DESC LIMIT 50",
        **asked,
    )
    return ReportedSentence(
        **rows[0],
        mentions=tuple(SentenceMention(**row) for row in mentions),
        reports=tuple(MentionReport(**row) for row in reports),
    )


def report_mention(
    writing: Snapshot,
    sentence_id: int,
    *,
    annotator_id: int,
    label: str,
    start_char: int,
    end_char: int,
    reason: Reason,
    comment: str,
) -> Outcome:
    """Store a report within `storage.reading.Reader.writing`, and say what became of it.

    ``repeated``: the same was reported before. ``unknown``: there is no such mention. ``too many``: 30 came within a minute or
    1,000 within a day, from all readers together.

    Raises:
        DatabaseError: the reason is none, or the comment has more than `COMMENT_LENGTH` characters.
    """
    outcome = writing.value(
        "SELECT analysis.report_mention(:sentence, :annotator, :label, :start, :end, :reason, :comment)",
        sentence=sentence_id,
        annotator=annotator_id,
        label=label,
        start=start_char,
        end=end_char,
        reason=reason,
        comment=comment,
    )
    return cast("Outcome", outcome)
