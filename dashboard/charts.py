"""Small charts as inline SVG: no script draws them, and the colours are the stylesheet's."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup, escape

WIDTH, HEIGHT = 96, 24
BARS_WIDTH, BARS_HEIGHT = 720, 200


def year_range(counts: Mapping[int, int]) -> range:
    """Return the years from the first to the last, those without a citation too."""
    return range(min(counts), max(counts) + 1) if counts else range(0)


def sparkline(counts: Mapping[int, int], years: range, label: str) -> Markup:
    """Return citations by year as a line as wide as a word; ``years`` are the same for every row of a table."""
    if not counts or not years:
        return Markup("")
    top = max(counts.values())
    step = (WIDTH - 4) / max(1, len(years) - 1)
    values = [counts.get(year, 0) for year in years]
    if len(values) == 1:
        values = values * 2
        step = WIDTH - 4
    points = " ".join(
        f"{2 + index * step:.1f},{HEIGHT - 3 - value / top * (HEIGHT - 6):.1f}" for index, value in enumerate(values)
    )
    return Markup(
        '<svg class="sparkline" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">'
        '<polyline points="{}" fill="none"/></svg>'
    ).format(escape(label), WIDTH, HEIGHT, WIDTH, HEIGHT, points)


def year_bars(counts: Mapping[int, int], label: str) -> Markup:
    """Return citations by year as bars with the first and the last year below and the highest count beside them."""
    years = year_range(counts)
    if not years:
        return Markup("")
    top = max(counts.values())
    left, bottom = 40, 24
    step = (BARS_WIDTH - left) / len(years)
    tall = BARS_HEIGHT - bottom - 10
    bars = Markup("").join(
        Markup('<rect x="{}" y="{}" width="{}" height="{}"><title>{}: {}</title></rect>').format(
            f"{left + index * step + step * 0.1:.1f}",
            f"{BARS_HEIGHT - bottom - counts[year] / top * tall:.1f}",
            f"{min(step * 0.8, 48):.1f}",
            f"{counts[year] / top * tall:.1f}",
            year,
            f"{counts[year]:,}",
        )
        for index, year in enumerate(years)
        if counts.get(year)
    )
    base = BARS_HEIGHT - bottom
    return Markup(
        '<svg class="bars" role="img" aria-label="{label}" viewBox="0 0 {width} {height}">'
        '<line x1="{left}" y1="{base}" x2="{width}" y2="{base}"/>{bars}'
        '<text x="{before}" y="18" text-anchor="end">{top}</text>'
        '<text x="{before}" y="{base}" text-anchor="end">0</text>'
        '<text x="{left}" y="{below}">{first}</text>'
        '<text x="{width}" y="{below}" text-anchor="end">{last}</text></svg>'
    ).format(
        label=label, width=BARS_WIDTH, height=BARS_HEIGHT, left=left, base=base, before=left - 6, below=BARS_HEIGHT - 6,
        bars=bars, top=f"{top:,}", first=years[0], last=years[-1] if len(years) > 1 else "",
    )  # fmt: skip


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
