"""Publication and revision dates as PubMed writes them, brought to a date and a precision.

The forms are those of the NLM documentation of the PubMed DTD (elements ``PubDate``, ``MedlineDate``, ``Season``): a
year with or without month, day or season, or free text such as ``2011 May-Jun``, ``1998 Dec-1999 Jan`` or ``Winter
1999``. Of a range the first date counts; what a date leaves open is filled with ones.
"""

from __future__ import annotations

import datetime as dt
import re
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from comention.types import DatePrecision

if TYPE_CHECKING:
    from lxml.etree import _Element

PartialDate = tuple[dt.date, DatePrecision]

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_FREE_TEXT = re.compile(
    r"(?:(?P<before>[A-Za-z]+)\s+)?(?<![0-9])(?P<year>[0-9]{4})(?![0-9])"
    r"(?:\s+(?P<after>[A-Za-z]+)\.?(?:\s+(?P<day>[0-9]{1,2})(?![0-9]))?)?"
)
_WORD = re.compile(r"[A-Za-z]{3,}")
_YEAR = re.compile(r"[0-9]{4}")
_MONTH_OR_DAY = re.compile(r"[0-9]{1,2}")


def parse_date(element: _Element | None) -> PartialDate | None:
    """Read a ``PubDate``, ``ArticleDate``, ``DateRevised`` or the like; ``None`` where it holds no usable date."""
    if element is None:
        return None
    parts = {child.tag: (child.text or "").strip() for child in element}
    if year := parts.get("Year"):
        return _partial_date(year, parts.get("Month") or parts.get("Season"), parts.get("Day"))
    return parse_medline_date(parts.get("MedlineDate", ""))


def parse_medline_date(text: str) -> PartialDate | None:
    """Read the first date of a free-text ``MedlineDate``; ``None`` where it names no year."""
    found = _FREE_TEXT.search(text)
    if found is None:
        return None
    if found["after"] and _month_number(found["after"]):
        return _partial_date(found["year"], found["after"], found["day"])
    return _partial_date(found["year"], found["before"], None)


# Most dates of a file lie within a few years.
@lru_cache(maxsize=1 << 14)
def _partial_date(year: str, month: str | None, day: str | None) -> PartialDate | None:
    """The date of these parts, as precise as they can be read; an impossible month or day is left out."""
    if not _YEAR.fullmatch(year) or int(year) < dt.MINYEAR:
        return None
    number = _month_number(month or "")
    if number is None:
        return dt.date(int(year), 1, 1), DatePrecision.YEAR
    if day and _MONTH_OR_DAY.fullmatch(day):
        with suppress(ValueError):  # such as the 31st of June
            return dt.date(int(year), number, int(day)), DatePrecision.DAY
    return dt.date(int(year), number, 1), DatePrecision.MONTH


def _month_number(text: str) -> int | None:
    """Read ``3``, ``03``, ``Mar``, ``March``, ``Mar-Apr`` or ``Spring``."""
    if _MONTH_OR_DAY.fullmatch(text):
        return int(text) if 1 <= int(text) <= 12 else None
    if word := _WORD.match(text):
        name = word[0].lower()
        if name in _SEASONS:
            return _SEASONS[name]
        return next((number for number, month in enumerate(_MONTHS, start=1) if month.startswith(name)), None)
    return None
