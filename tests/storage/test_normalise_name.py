"""Names in SQL are the names of Python: what an analyst types finds what was stored."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from comention.names import normalise_name
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres

LATIN = "abcdehimnorstuxyzABEINOSTXZ0123456789"
ACCENTED = "éèüöäñçåøłßẞÉÜÖÄÅØŁ" + "İıſŉǰÿĳ"
GREEK = "αβγδεζηθικλμνξοπρσςτυφχψωΑΒΓΔΘΛΣΩ" + "άέίόύώΐΰϊϋϐϑϕϖµΆΏ"
HYPHENS = "-‐‑‒–—―−﹣-\u00ad"
QUOTES = "'‘’ʼ′`´\"“”„″‴ʹ＇"
SPACES = " \t\n\r\x0b\x0c\x1c\x1f\x85\u00a0\u1680\u2003\u2009\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
PUNCTUATION = ".,;:()[]/+*%&_#"
MARKS = "\u0300\u0301\u0303\u0307\u0308\u030a\u0323\u0327\u0328\u0345"
WIDE = "ＡＢＣａｂｃ１２３－．（）ｱｶﾞ"
LIGATURES = "ﬀﬁﬂﬃﬄﬅﬆÆæŒœ½²³₂ⅣⅨ№℃™Å"

CHARACTERS = LATIN + ACCENTED + GREEK + HYPHENS + QUOTES + SPACES + PUNCTUATION + MARKS + WIDE + LIGATURES
WORDS = (
    "ascites biases caries diabetes pointes metastases thromboses fibroses diagnoses neuroses psychoses symbioses analyses "
    "lyses neuritides arthritides hepatitis virus Viruses kinetics neuropathies rashes abscesses branches complexes "
    "crises inhibitors doses boses roses TNF IL CNS ions gas bus s es ies 's s' Alzheimer's Parkinson’s AIDS' ACE ß-blockers "
    "MASSES STRASSE Straße STRAẞE İSTANBUL ΣΊΣΥΦΟΣ μ-opioid TNF-α β₂ ǰ ﬁbroses Æthers Å x's_y x's² x'sé".split()
)
JOINS = (" ", "  ", "-", " - ", "–", "‑ ", "", "'s ", "’s-", "\u00a0", ", ", "/", "\u0301")


def realistic_surface(random: Random) -> str:
    """A few words or characters, or words that run into characters."""
    characters = "".join(random.choices(CHARACTERS, k=random.randint(1, 12)))
    words = "".join(random.choice(WORDS) + random.choice(JOINS) for _ in range(random.randint(1, 4)))
    return random.choice((characters, words, words + characters))


@pytest.fixture(scope="module")
def names(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    database = Database(parse_url(postgres.create_database("names", template=template), connect_timeout=10))
    yield database
    database.close()
    postgres.drop_database("names")


def names_in_sql(database: Database, surfaces: list[str]) -> list[str]:
    """The names of the surfaces, in their order, by one statement."""
    with database.transaction() as connection:
        return list(
            connection.execute(
                text(
                    "SELECT analysis.normalise_name(surface) FROM unnest(CAST(:surfaces AS text[])) "
                    "WITH ORDINALITY s (surface, place) ORDER BY place"
                ),
                {"surfaces": surfaces},
            ).scalars()
        )


def list_differences(database: Database, surfaces: list[str]) -> list[tuple[str, str, str]]:
    """Surfaces whose name in SQL, given next, is not that of Python, given last."""
    found = names_in_sql(database, surfaces)
    return [
        (surface, name, normalise_name(surface))
        for surface, name in zip(surfaces, found, strict=True)
        if name != normalise_name(surface)
    ]


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_names_in_sql_are_those_of_python(names: Database, seed: int) -> None:
    random = Random(seed)  # Hypothesis would be slow to draw, and slower to shrink, hundreds of texts a query
    surfaces = [realistic_surface(random) for _ in range(400)]
    assert list_differences(names, surfaces) == []


def test_every_character_of_the_latin_and_greek_blocks_folds_alike(names: Database) -> None:
    characters = [chr(code) for code in (*range(1, 0x250), *range(0x370, 0x400), *range(0x1E00, 0x2100))]
    surfaces = [form for one in characters for form in (one, f"x{one}y", f"abc{one}s", f"x's{one}")]
    assert list_differences(names, surfaces) == []
