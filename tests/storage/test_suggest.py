"""What is suggested is what a look at every name would suggest, however many names have a beginning."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import text

from storage.annotators import register_annotator
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from tests.plugins.lexicon_annotator import LexiconAnnotator


@dataclass
class Lexicon:
    """Concepts with their names and counts, as the test knows them."""

    database: Database
    concepts: list[tuple[str, str, tuple[str, ...], int]] = field(default_factory=list)
    """Label, key, names, citations."""
    _deltas: list[int] = field(default_factory=list)

    def add(self, label: str, names: tuple[str, ...], folded: int, delta: int = 0) -> None:
        """Add a concept of which ``folded`` citations are in the totals and ``delta`` are not yet."""
        self.concepts.append((label, names[0], names, folded + delta))
        self._deltas.append(delta)

    def write(self) -> None:
        """Write all that was added."""
        concepts = [
            {"id": number, "label": label, "key": key, "names": list(names), "folded": count - delta, "delta": delta}
            for number, ((label, key, names, count), delta) in enumerate(
                zip(self.concepts, self._deltas, strict=True), start=1
            )
        ]
        cell = (
            "(annotator_id, drug_id, condition_id, sentence_count, citation_count, pair_count) "
            "SELECT a.id, CASE :label WHEN 'Drug' THEN :id ELSE 0 END, CASE :label WHEN 'Condition' THEN :id ELSE 0 END, "
        )
        with self.database.transaction() as connection:
            for statement in (
                "INSERT INTO comention.concept (id, label_id, key) OVERRIDING SYSTEM VALUE "
                "SELECT :id, l.id, :key FROM comention.label l WHERE l.name = :label",
                "INSERT INTO comention.name (label_id, text, concept_id) "
                "SELECT l.id, t.t, :id FROM comention.label l, unnest(CAST(:names AS text[])) t (t) WHERE l.name = :label",
                f"INSERT INTO comention.cooccurrence_total {cell} :folded, :folded, 0 "
                "FROM comention.annotator a WHERE a.promoted AND :folded <> 0",
                f"INSERT INTO comention.cooccurrence_delta {cell} :delta, :delta, 0 "
                "FROM comention.annotator a WHERE a.promoted AND :delta <> 0",
            ):
                connection.execute(text(statement), concepts)

    def expected(
        self, beginnings: tuple[str, ...], rows: int | None, label: str | None
    ) -> list[tuple[str, str, str, int]]:
        """Label, key, shortest name with the beginning, citations; the most cited first."""
        found = [
            (of, key, min((name for name in names if name.startswith(beginnings)), key=lambda n: (len(n), n)), count)
            for of, key, names, count in self.concepts
            if label in (None, of) and count > 0 and any(name.startswith(beginnings) for name in names)
        ]
        return sorted(found, key=lambda row: (-row[3], row[1]))[:rows]


@pytest.fixture(scope="module")
def lexicon(postgres: EmbeddedPostgres, template: str) -> Iterator[Lexicon]:
    database = Database(parse_url(postgres.create_database("suggest", template=template), connect_timeout=10))
    register_annotator(database, LexiconAnnotator().info)
    with database.transaction() as connection:
        connection.execute(
            text("INSERT INTO comention.label (name) VALUES ('Drug'), ('Condition') ON CONFLICT (name) DO NOTHING")
        )
    made, chance = Lexicon(database), random.Random(3)
    counts = iter(chance.sample(range(1, 4000), 3900))
    for place in range(800):
        made.add("Drug", (f"ba{place} in",), next(counts), 3 * (place % 40 == 0))
        made.add("Condition", (f"ba{place} itis",), next(counts))
    for place in range(1_600):  # in the order of bytes, the first 1,500 names in c are drugs
        made.add("Drug", (f"ca{place}",), next(counts))
    for place in range(4):
        made.add("Condition", (f"cz{place}",), 8_000 + place)
    for place in range(1_300):  # more cited than all other conditions, of which each thousand come after them
        made.add("Condition", (f"fa{place}",), 20_000 + place)
    for place in range(60):
        made.add("Drug", (f"da{place}",), 9_000 + place)
        made.add("Condition", (f"db{place}",), 12_000 + place)
    for place in range(30):
        made.add("Drug", (f"ea{place}", f"ea{place} acid", f"hydro-ea{place}"), next(counts), 2)
    for place in chance.sample(range(90), 90):  # of equals, keys decide
        made.add("Drug", (f"ha{place:02}",), 1)
    for place in range(60):  # folding has not seen that the first two have gone
        made.add("Condition", (f"ia{place}",), 40_000 - place, -39_999 if place < 2 else 0)
    made.add("Drug", ("eb of yesterday",), 7, -7)
    made.add("Drug", ("eb of today",), 0, 5)
    for place in range(12):
        made.add("Condition", (f"tumour {place}",), next(counts))
    made.write()
    yield made
    database.close()
    postgres.drop_database("suggest")


@pytest.mark.parametrize("label", [None, "Drug", "Condition"])
@pytest.mark.parametrize(
    "typed",
    [
        "b",
        "ba",
        "BA1",
        "ba12",
        "ba799",
        "c",
        "ca1",
        "cz",
        "d",
        "da",
        "e",
        "ea1",
        "eb",
        "hydro-ea",
        "ha",
        "ia",
        "f",
        "Tumours",
        "ea 1%",
    ],
)
def test_what_begins_so_is_suggested_the_most_cited_first(lexicon: Lexicon, typed: str, label: str | None) -> None:
    beginnings = (typed.lower(), "tumour") if typed == "Tumours" else (typed.lower(),)
    for rows in (1, 10, 40, 2**31 - 1, None):
        with lexicon.database.transaction() as connection:
            found = connection.execute(
                text(
                    "SELECT label, concept, name, citation_count "
                    "FROM analysis.suggest(:typed, CAST(:rows AS integer), CAST(:label AS text))"
                ),
                {"typed": typed, "rows": rows, "label": label},
            ).all()
        wanted = lexicon.expected(beginnings, rows, label)
        if not wanted:  # then what resembles it
            assert not [row for row in found if row.name.startswith(beginnings)]
        else:
            assert [tuple(row) for row in found] == wanted, rows


def test_no_row_is_asked_for(lexicon: Lexicon) -> None:
    with lexicon.database.transaction() as connection:
        assert not connection.execute(text("SELECT * FROM analysis.suggest('ba', 0)")).all()
