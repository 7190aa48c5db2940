"""Marked text: elements nest whatever spans do, offsets are code points, and nothing in a text steers the page."""

from __future__ import annotations

import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from dashboard.marking import Marked, inert, mark


def span(start: int, end: int, name: str = "a", **values: str) -> Marked:
    return Marked(start=start, end=end, classes=(name,), **values)


def test_spans_that_overlap_are_cut_where_the_other_begins_and_ends() -> None:
    assert mark("vitamin B12 deficiency", [span(0, 11, "protein", tag="P"), span(8, 22, "condition", tag="C")]) == (
        '<mark class="protein">vitamin </mark><mark class="protein condition" data-tag="P">B12</mark>'
        '<mark class="condition" data-tag="C"> deficiency</mark>'
    )


def test_text_is_cut_before_it_is_escaped() -> None:
    assert mark("a<b> & 𝛼-blocker", [span(7, 16)]) == 'a&lt;b&gt; &amp; <mark class="a">𝛼-blocker</mark>'


def test_titles_are_escaped_and_inert() -> None:
    assert mark("x", [span(0, 1, title='"><script>\u202e')]) == (
        '<mark class="a" title="&#34;&gt;&lt;script&gt;\ufffd">x</mark>'
    )


def test_a_part_has_only_what_reaches_into_it() -> None:
    text = "clozapine and rash"
    spans = [span(0, 9), span(14, 18)]
    assert mark(text, spans, start=4, end=16) == '<mark class="a">apine</mark> and <mark class="a">ra</mark>'
    assert mark(text, [span(3, 3)]) == text


@given(
    st.text(max_size=40),
    st.lists(st.tuples(st.integers(0, 45), st.integers(0, 45), st.sampled_from("abc")), max_size=12),
)
def test_whatever_the_spans_the_text_stays_and_each_character_has_its_classes(
    text: str, spans: list[tuple[int, int, str]]
) -> None:
    html = mark(text, [span(start, end, name) for start, end, name in spans])
    pieces = re.findall(r'<mark class="([abc ]+)">(.*?)</mark>|([^<]+)', html, re.DOTALL)
    seen: list[tuple[str, set[str]]] = []
    for classes, inside, outside in pieces:
        seen += [(one, set(classes.split())) for one in unescape_all(inside or outside)]
    wanted = [
        (character, {name for start, end, name in spans if start <= place < end})
        for place, character in enumerate(inert(text))
    ]
    assert seen == wanted


def unescape_all(html: str) -> str:
    """Undo markupsafe's escaping alone: html.unescape knows names that stand in texts without being escapes."""
    for escaped, character in (("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&#34;", '"'), ("&amp;", "&")):
        html = html.replace(escaped, character)
    return html


def test_characters_that_steer_are_replaced_one_for_one() -> None:
    text = "a\u202eb\u2066c\u2069\x07d\u061c"
    assert inert(text) == "a\ufffdb\ufffdc\ufffd\ufffdd\ufffd"
    assert len(inert(text)) == len(text)
    assert inert("tab\tline\nشدید é") == "tab\tline\nشدید é"
    assert unescape("&amp;") == "&"
