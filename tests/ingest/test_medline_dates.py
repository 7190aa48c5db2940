"""Dates as PubMed writes them."""

from __future__ import annotations

import datetime as dt

import pytest
from lxml import etree

from comention.types import DatePrecision
from ingest.medline_dates import parse_date, parse_medline_date

YEAR, MONTH, DAY = DatePrecision.YEAR, DatePrecision.MONTH, DatePrecision.DAY


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<Year>2011</Year>", (dt.date(2011, 1, 1), YEAR)),
        ("<Year>2011</Year><Month>05</Month>", (dt.date(2011, 5, 1), MONTH)),
        ("<Year>2011</Year><Month>May</Month><Day>7</Day>", (dt.date(2011, 5, 7), DAY)),
        ("<Year>2011</Year><Month>September</Month>", (dt.date(2011, 9, 1), MONTH)),
        ("<Year>2011</Year><Month>Sept</Month>", (dt.date(2011, 9, 1), MONTH)),
        ("<Year>2011</Year><Season>Spring</Season>", (dt.date(2011, 3, 1), MONTH)),
        ("<Year>2011</Year><Season>Summer</Season>", (dt.date(2011, 6, 1), MONTH)),
        ("<Year>2011</Year><Season>Autumn</Season>", (dt.date(2011, 9, 1), MONTH)),
        ("<Year>2011</Year><Season>Fall</Season>", (dt.date(2011, 9, 1), MONTH)),
        ("<Year>2011</Year><Season>Winter</Season>", (dt.date(2011, 12, 1), MONTH)),
        ("<Year>2011</Year><Season>Jul-Aug</Season>", (dt.date(2011, 7, 1), MONTH)),
        ("<Year>2011</Year><Month>13</Month><Day>1</Day>", (dt.date(2011, 1, 1), YEAR)),
        ("<Year>2011</Year><Month>Jun</Month><Day>31</Day>", (dt.date(2011, 6, 1), MONTH)),
        ("<Year>2011</Year><Day>3</Day>", (dt.date(2011, 1, 1), YEAR)),
        ("\n <Year> 2011 </Year>\n <Month> 2 </Month>", (dt.date(2011, 2, 1), MONTH)),
        ("<MedlineDate>2011 May-Jun</MedlineDate>", (dt.date(2011, 5, 1), MONTH)),
        ("<Year>0000</Year>", None),
        ("<Year>20111</Year>", None),
        ("<Year>" + "9" * 5000 + "</Year>", None),
        ("<Year>²⁰¹¹</Year>", None),
        ("<Year/>", None),
        ("", None),
    ],
)
def test_elements(xml: str, expected: tuple[dt.date, DatePrecision] | None) -> None:
    assert parse_date(etree.fromstring(f"<PubDate>{xml}</PubDate>")) == expected


def test_a_missing_element_is_no_date() -> None:
    assert parse_date(None) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2011 May-Jun", (dt.date(2011, 5, 1), MONTH)),
        ("2011 May - Jun", (dt.date(2011, 5, 1), MONTH)),
        ("2011 Sep/Oct", (dt.date(2011, 9, 1), MONTH)),
        ("1998 Dec-1999 Jan", (dt.date(1998, 12, 1), MONTH)),
        ("2000 Spring", (dt.date(2000, 3, 1), MONTH)),
        ("2000 Spring-Summer", (dt.date(2000, 3, 1), MONTH)),
        ("Winter 1999", (dt.date(1999, 12, 1), MONTH)),
        ("1975-1976", (dt.date(1975, 1, 1), YEAR)),
        ("1978-79", (dt.date(1978, 1, 1), YEAR)),
        ("2004 Aug 9-15", (dt.date(2004, 8, 9), DAY)),
        ("2000 Dec 30-2001 Jan 5", (dt.date(2000, 12, 30), DAY)),
        ("2003 1st Quarter", (dt.date(2003, 1, 1), YEAR)),
        ("2003 First Quarter", (dt.date(2003, 1, 1), YEAR)),
        ("Issue 2003", (dt.date(2003, 1, 1), YEAR)),
        ("Marine 2003", (dt.date(2003, 1, 1), YEAR)),
        ("in press", None),
        ("12345", None),
        ("", None),
    ],
)
def test_free_text_gives_its_first_date(text: str, expected: tuple[dt.date, DatePrecision] | None) -> None:
    assert parse_medline_date(text) == expected
