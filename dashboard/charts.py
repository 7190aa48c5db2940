"""Small charts as inline SVG: no script draws them, and the colours are the stylesheet's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from markupsafe import Markup, escape

WIDTH, HEIGHT = 96, 24
BARS_WIDTH, BARS_HEIGHT = 720, 200
_TALL = 10 * (HEIGHT - 6)
_HEIGHTS = tuple(f"{HEIGHT - 3 - tenths / 10:.1f}" for tenths in range(_TALL + 1))
"""How far down a point of a line is, by its height in tenths: a page has a thousand points, and numbers take long to write."""


def year_range(counts: Mapping[int, int]) -> range:
    """Return the years from the first to the last, those without a citation too."""
    return range(min(counts), max(counts) + 1) if counts else range(0)


def sparkline(counts: Mapping[int, int], years: range, label: str) -> Markup:
    """Return citations by year as a line as wide as a word; ``years`` are the same for every row of a table."""
    if not counts or not years:
        return Markup("")
    unit = _TALL / max(counts.values())
    values = [counts.get(year, 0) for year in years]
    if len(values) == 1:
        values = values * 2
    points = " ".join(
        [place + _HEIGHTS[round(value * unit)] for place, value in zip(_places(len(values)), values, strict=True)]
    )
    return Markup(  # noqa: S704 - the label is escaped, the rest are numbers
        f'<svg class="sparkline" role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}"><polyline points="{points}" fill="none"/></svg>'
    )


@lru_cache(maxsize=256)
def _places(number: int) -> tuple[str, ...]:
    """Return how far to the right each of so many points of a line is, each with a comma behind it."""
    step = (WIDTH - 4) / (number - 1)
    return tuple(f"{2 + index * step:.1f}," for index in range(number))


def year_bars(counts: Mapping[int, int], label: str) -> Markup:
    """Return citations by year as bars with the first and the last year below and the highest count beside them."""
    years = year_range(counts)
    if not years:
        return Markup("")
    top = max(counts.values())
    left, bottom = 40, 24
    step = (BARS_WIDTH - left) / len(years)
    tall = BARS_HEIGHT - bottom - 10
    base, below, before = BARS_HEIGHT - bottom, BARS_HEIGHT - 6, left - 6
    wide = f"{min(step * 0.8, 48):.1f}"
    bars = "".join(
        f'<rect x="{left + index * step + step * 0.1:.1f}" y="{base - counts[year] / top * tall:.1f}" width="{wide}" '
        f'height="{counts[year] / top * tall:.1f}"><title>{year}: {counts[year]:,}</title></rect>'
        for index, year in enumerate(years)
        if counts.get(year)
    )
    return Markup(  # noqa: S704 - the label is escaped, the rest are numbers
        f'<svg class="bars" role="img" aria-label="{escape(label)}" viewBox="0 0 {BARS_WIDTH} {BARS_HEIGHT}">'
        f'<line x1="{left}" y1="{base}" x2="{BARS_WIDTH}" y2="{base}"/>{bars}'
        f'<text x="{before}" y="18" text-anchor="end">{top:,}</text>'
        f'<text x="{before}" y="{base}" text-anchor="end">0</text>'
        f'<text x="{left}" y="{below}">{years[0]}</text>'
        f'<text x="{BARS_WIDTH}" y="{below}" text-anchor="end">{years[-1] if len(years) > 1 else ""}</text></svg>'
    )


def two_bars(first: float, second: float, top: float) -> Markup:
    """Return two shares as bars that grow to the left and to the right of a middle line; ``top`` fills a side.

    It says nothing that does not stand beside it: whoever does not see it misses nothing.
    """
    half = WIDTH
    left, right = (max(1.0, half * min(1.0, share / top)) if share else 0.0 for share in (first, second))
    return Markup(
        '<svg class="two-bars" aria-hidden="true" viewBox="0 0 {} {}" width="{}" height="{}">'
        '<rect class="first" x="{:.1f}" y="5" width="{:.1f}" height="14"/>'
        '<rect class="second" x="{}" y="5" width="{:.1f}" height="14"/>'
        '<line x1="{}" y1="0" x2="{}" y2="{}"/></svg>'
    ).format(2 * half, HEIGHT, 2 * half, HEIGHT, half - left, left, half, right, half, half, HEIGHT)
