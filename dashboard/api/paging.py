"""Cursors: the place of the last row of a page, in letters that mean nothing to whoever sends them back.

A place is what the row is ranked by, not how many rows come before it: when rows come or go meanwhile, no other is left out or
shown twice.
"""

from __future__ import annotations

import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from dashboard.api.problems import ApiError
from storage.partners import LISTED, RankKey

CURSOR_LENGTH = 4_000
CURSOR_PATTERN = "^[A-Za-z0-9_-]+$"
LAST_SENTENCE = 2**63 - 1


def encode_place(order: str, key: RankKey) -> str:
    """Return the cursor of a row of a ranking in an order."""
    return _encode([order, list(key.numbers), list(key.names), key.position])


def decode_place(order: str, cursor: str | None, *, numbers: int, names: int) -> RankKey | None:
    """Return the place that a cursor stands for, or None where there is no cursor.

    Raises:
        ApiError: it was not given out for this order.
    """
    if cursor is None:
        return None
    match _decode(cursor):
        case [str(of), list(ranked), list(named), int(position)] if (
            of == order
            and len(ranked) == numbers
            and len(named) == names
            and all(map(_is_number, ranked))
            and all(isinstance(one, str) and _is_text(one) for one in named)
            and 0 <= position <= LISTED
        ):
            return RankKey(numbers=tuple(map(float, ranked)), names=tuple(named), position=position)
    raise _refusal(cursor)


def encode_sentence(order: str, sentence_id: int) -> str:
    """Return the cursor of a sentence."""
    return _encode([order, sentence_id])


def decode_sentence(order: str, cursor: str | None) -> int | None:
    """Return the sentence that a cursor stands for, or None where there is no cursor.

    Raises:
        ApiError: it was not given out for this list.
    """
    if cursor is None:
        return None
    match _decode(cursor):
        case [str(of), int(sentence_id)] if of == order and 0 <= sentence_id <= LAST_SENTENCE:
            return sentence_id
    raise _refusal(cursor)


def _encode(place: list[Any]) -> str:
    return urlsafe_b64encode(json.dumps(place, separators=(",", ":"), ensure_ascii=False).encode()).decode().rstrip("=")


def _decode(cursor: str) -> Any:
    try:
        found = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) and not any(isinstance(one, bool) for one in found) else None


def _is_number(value: object) -> bool:
    """Say whether it is one that Postgres can compare; infinity, which stands for null, is."""
    return (isinstance(value, float) and not math.isnan(value)) or (type(value) is int and abs(value) < 2**63)


def _is_text(value: str) -> bool:
    """Say whether Postgres can take it."""
    return "\x00" not in value and not any("\ud800" <= one <= "\udfff" for one in value)


def _refusal(cursor: str) -> ApiError:
    said = "it was not given out for this list in this order: take `next_cursor` of the page before, or none"
    return ApiError(
        "bad-parameter",
        f"the cursor “{cursor[:20]}…” cannot be used: {said}",
        errors=[{"parameter": "cursor", "detail": said}],
    )
