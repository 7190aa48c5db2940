"""A database of texts that attack: markup, formulas, characters that steer, and too much of everything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from storage.cooccurrence import fold_counts
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.search import index_sentences
from tests.builders import citation
from tests.dashboard.made import annotate_words, store

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(2)>'
FORMULA = '=HYPERLINK("http://evil")'
MANY = 3_000
LONG_BYTES = 5 * 2**20


@contextmanager
def hostile_database(postgres: EmbeddedPostgres, template: str, name: str) -> Iterator[str]:
    """The address of a database of this name with such texts; it goes at the end of the block."""
    address = postgres.create_database(name, template=template)
    database = Database(parse_url(address, connect_timeout=10))
    sentences = [
        f"Evil{SCRIPT} caused rash{IMAGE} in 3.",
        "Under \u202eevil\u202c the rash \u2067grew\u2069.",
        f"{FORMULA} caused rash.",
        "𝒟rug 𝛼-evil caused rash; it's “quoted” & 'quoted'.",
        "{{ 7 * 7 }} ${7*7} evil and rash %s %(x)s.",
    ]
    store(
        database,
        [
            citation(1, sentences, title=f"A title{SCRIPT}{IMAGE}", journal_title=f"J{IMAGE}"),
            citation(2, ["evil rash " * MANY], title="Many."),
            citation(3, ["evil caused rash.", "x " * (LONG_BYTES // 2)], title="Long."),
        ],
    )
    annotate_words(
        database,
        {
            "Drug": [f"Evil{SCRIPT}", "evil", FORMULA, "𝛼-evil"],
            "Condition": [f"rash{IMAGE}", "rash", "rash in"],
            "Chemical": ["vil caused ra", "evil"],
        },
    )
    annotate_words(database, {"Drug": [f"Evil{SCRIPT}"], "Condition": [f"rash{IMAGE}", "grew"]}, name="other")
    fold_counts(database)
    index_sentences(database)
    try:
        yield address
    finally:
        database.close()
        postgres.drop_database(name)
