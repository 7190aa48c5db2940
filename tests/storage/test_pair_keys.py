"""What the index of pairs of names holds: every pair that stands in one sentence, or that a sentence has too many of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres

CROWDED = 16_777_216
mentions = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 150)), min_size=1, max_size=250)


@pytest.fixture(scope="module")
def migrated(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    database = Database(parse_url(postgres.create_database("pair_keys", template=template), connect_timeout=10))
    yield database
    database.close()
    postgres.drop_database("pair_keys")


@settings(max_examples=60, deadline=None)
@given(found=mentions | mentions.map(sorted))
@example(found=[(0, name) for name in range(1, 66)])
@example(found=[(0, 1 + name % 2) for name in range(20_000)])
def test_every_pair_of_a_sentence_is_there_or_the_sign_of_too_many(
    migrated: Database, found: list[tuple[int, int]]
) -> None:
    with migrated.transaction() as connection:
        keys, missing = connection.execute(
            text(
                "WITH mention AS (SELECT DISTINCT o, n "
                "FROM unnest(CAST(:ordinals AS integer[]), CAST(:names AS integer[])) u (o, n)), "
                "k AS MATERIALIZED (SELECT comention.pair_keys(9000000, CAST(:ordinals AS integer[]), "
                "CAST(:names AS integer[])) AS keys) "
                "SELECT k.keys, (SELECT count(*) FROM mention a JOIN mention b ON b.o = a.o AND b.n <> a.n "
                "WHERE comention.name_pair(a.n, b.n) <> ALL (k.keys)) FROM k"
            ),
            {"ordinals": [ordinal for ordinal, _ in found], "names": [name for _, name in found]},
        ).one()
    names: dict[int, set[int]] = {}
    for ordinal, name in found:
        names.setdefault(ordinal, set()).add(name)
    crowded = any(len(some) > 64 for some in names.values())
    assert (CROWDED in keys) == crowded
    assert crowded or not missing
    assert len(keys) <= 3 + sum(min(len(some), 64) ** 2 / 2 for some in names.values()) or len(found) <= 64
    assert keys[:2] == [-1 - (9_000_000 >> 12 << 1), -1 - (9_000_000 >> 16 << 1 | 1)]
