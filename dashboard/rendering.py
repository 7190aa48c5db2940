"""Templates: every value is escaped, none can steer how text is shown, and an unknown name is an error."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from comention import __version__
from dashboard import charts, marking
from dashboard.assets import asset_address, plotly_style_ids
from dashboard.filters import PUBLICATION_TYPES, SECTIONS, address
from dashboard.measures import MEASURES

FOLDER = Path(__file__).parent / "templates"

NAVIGATION = (
    ("/", "Search"), ("/sentences", "Sentences"), ("/compare", "Compare"), ("/annotators", "Annotators"),
    ("/operations", "Operations"),
)  # fmt: skip
"""Pages that the head of every page leads to."""


def _finalize(value: Any) -> Any:
    if value is None:
        return ""
    return marking.inert(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def count(value: int | None) -> str:
    """Return a count with its thousands apart; a dash where there is none."""
    return "–" if value is None else f"{value:,}"


def measure(value: float | None, digits: int = 2) -> str:
    """Return a measure with a few digits; a dash where there is none, a true minus where it is negative."""
    if value is None or math.isnan(value):
        return "–"
    if value and abs(value) >= 10_000:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:,.{digits}f}".replace("-", "−")


def many(number: int, one: str, more: str | None = None) -> str:
    """Return a count with its noun."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def shorten(text: str, length: int) -> str:
    """Return a text cut at the end of a word, where it is too long."""
    if len(text) <= length:
        return text
    return text[: length - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def reference_of(item: Any) -> str:
    """Return a citation as one cites it: title, journal, year, PMID."""
    title = item.title.rstrip()
    parts = [title if title.endswith((".", "?", "!")) else f"{title}."]
    if item.journal:
        parts.append(f"{item.journal.rstrip('.')}.")
    if item.year:
        parts.append(f"{item.year}.")
    return " ".join([*parts, f"PMID: {item.pmid}."])


def trend_label(counts: Mapping[int, int]) -> str:
    """Return what a chart of citations by year shows, for those who do not see it."""
    if not counts:
        return "no year"
    first, last, most = min(counts), max(counts), max(counts, key=lambda year: (counts[year], year))
    if first == last:
        return f"{many(counts[first], 'citation')} in {first}"
    return f"{many(sum(counts.values()), 'citation')} from {first} to {last}, most in {most} ({counts[most]:,})"


def counts_of(years: Iterable[int], counts: Mapping[int, int]) -> list[int]:
    """Return the counts of the years in their order."""
    return [counts.get(year, 0) for year in years]


def moment(value: dt.datetime) -> str:
    """Return a moment as a reader of logs has it, in UTC."""
    return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def duration(minutes: float) -> str:
    """Return a duration in the unit that fits it."""
    if minutes < 90:
        return many(max(1, math.ceil(minutes)), "minute")
    hours = minutes / 60
    return many(math.ceil(hours), "hour") if hours < 48 else many(math.ceil(hours / 24), "day")


def size(number: int) -> str:
    """Return a number of bytes in the unit that fits it."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1_000:
            return f"{number:,.0f} {unit}"
        number = round(number / 1_000)
    return f"{number:,} TB"


def make_environment() -> Environment:
    """Return the environment of the templates."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        bytes=size,
        count=count,
        counts_of=counts_of,
        duration=duration,
        many=many,
        measure=measure,
        moment=moment,
        shorten=shorten,
        trend_label=trend_label,
    )
    environment.globals.update(
        MEASURES=MEASURES,
        NAVIGATION=NAVIGATION,
        PUBLICATION_TYPES=PUBLICATION_TYPES,
        SECTIONS=SECTIONS,
        charts=charts,
        has_parquet=find_spec("pyarrow") is not None,
        mark=marking.mark,
        plotly_style_ids=plotly_style_ids,
        reference_of=reference_of,
        version=__version__,
    )
    return environment


def page(
    request: Request, template: str, *, status: int = 200, headers: dict[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """Answer with a page."""
    root: str = request.scope.get("root_path", "")
    environment: Environment = request.app.state.environment

    def link(path: str, **parameters: object) -> str:
        return root + address(path, parameters)

    html: str = environment.get_template(template).render(
        asset=lambda name: asset_address(name, root),
        here=request.url.path.removeprefix(root) or "/",
        link=link,
        logged_in=request.app.state.gate is not None,
        typed=values.pop("typed", ""),
        **values,
    )
    return HTMLResponse(html, status_code=status, headers=headers)
