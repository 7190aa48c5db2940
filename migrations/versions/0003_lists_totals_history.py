"""Mentions as arrays, a citation a row; totals over all years; what was counted before; full-text search behind the writers.

The program of before cannot write to these tables: stop it, upgrade, start the new one. No release has the schema of before.
Needs the extension pg_trgm, which comes with Postgres; whoever owns the database may create it.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
CELL = "concept; 0 stands for any"
PAIRS = "of a margin: the pairs of its citations, each citation's counted"
BY_YEAR = "rows of year (0 where unknown), sentences, citations, pairs, a year perhaps several times; null where all is of one year"


def _run(*parts: str) -> None:
    driver = op.get_bind().connection.driver_connection
    if driver is None:
        raise RuntimeError("this migration needs a live connection")
    for part in parts:
        driver.execute((SQL / part).read_text(encoding="utf-8"))


def _integers(name: str, comment: str | None = None) -> sa.Column[list[int]]:
    return sa.Column(name, postgresql.ARRAY(sa.Integer()), nullable=False, comment=comment)


def _count_columns() -> list[sa.Column[int] | sa.Column[list[int]]]:
    return [
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.Column("drug_id", sa.Integer(), nullable=False, comment=CELL),
        sa.Column("condition_id", sa.Integer(), nullable=False, comment=CELL),
        sa.Column("first_year", sa.SmallInteger(), nullable=True, comment="of publication; null where all are unknown"),
        sa.Column("last_year", sa.SmallInteger(), nullable=True),
        sa.Column("sentence_count", sa.BigInteger(), nullable=False),
        sa.Column("citation_count", sa.BigInteger(), nullable=False),
        sa.Column("pair_count", sa.BigInteger(), nullable=True, comment=PAIRS),
        sa.Column("by_year", postgresql.ARRAY(sa.Integer(), dimensions=2), nullable=True, comment=BY_YEAR),
    ]


def upgrade() -> None:
    _run("0003/keys.sql")
    op.add_column(
        "annotation",
        sa.Column(
            "counted_since",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="since when the counts have held what it contributes now",
        ),
        schema="comention",
    )
    op.create_index(
        op.f("ix_annotation_annotator_id_counted_since"),
        "annotation",
        ["annotator_id", "counted_since"],
        unique=False,
        schema="comention",
    )
    op.create_index(
        "ix_citation_retracted",
        "citation",
        ["pmid"],
        unique=False,
        schema="comention",
        postgresql_where=sa.text("retracted"),
    )
    op.create_index(
        "ix_name_prefix",
        "name",
        ["text"],
        unique=False,
        schema="comention",
        postgresql_ops={"text": "text_pattern_ops"},
        postgresql_include=["concept_id", "label_id"],
    )
    op.create_index(
        "ix_name_trigrams",
        "name",
        ["text"],
        unique=False,
        schema="comention",
        postgresql_using="gin",
        postgresql_ops={"text": "gin_trgm_ops"},
    )
    op.create_table(
        "citation_mentions",
        sa.Column("pmid", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        _integers("sentence_ordinals"),
        _integers("starts"),
        _integers("ends"),
        _integers("name_ids"),
        sa.Column("scores", postgresql.ARRAY(sa.REAL()), nullable=False),
        sa.CheckConstraint(
            "cardinality(name_ids) > 0 AND array_ndims(name_ids) = 1 "
            "AND array_lower(name_ids, 1) = 1 AND array_lower(sentence_ordinals, 1) = 1 "
            "AND array_lower(starts, 1) = 1 AND array_lower(ends, 1) = 1 AND array_lower(scores, 1) = 1 "
            "AND cardinality(sentence_ordinals) = cardinality(name_ids) AND cardinality(starts) = cardinality(name_ids) "
            "AND cardinality(ends) = cardinality(name_ids) AND cardinality(scores) = cardinality(name_ids)",
            name=op.f("ck_citation_mentions_in_step"),
        ),
        sa.ForeignKeyConstraint(
            ["pmid", "annotator_id"],
            ["comention.annotation.pmid", "comention.annotation.annotator_id"],
            name=op.f("fk_citation_mentions_pmid_annotator_id_annotation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("pmid", "annotator_id", name=op.f("pk_citation_mentions")),
        schema="comention",
        comment="The mentions of a citation by an annotator, as arrays in step, in order of sentence, span and name. "
        "A trigger refuses what does not lie inside its sentence.",
    )
    _create_search_tables()
    _create_count_tables()
    _run("0003/counts.sql", "0003/move.sql", "0003/statistics.sql", "0003/names.sql", "0003/analysis.sql")
    _create_gin(
        "ix_citation_mentions_keys",
        "citation_mentions",
        [sa.text("comention.mention_keys(pmid, name_ids)")],
        pending_kb=256,
    )
    _create_gin(
        "ix_citation_mentions_pairs",
        "citation_mentions",
        [sa.text("comention.pair_keys(pmid, sentence_ordinals, name_ids)")],
        pending_kb=64,
    )
    _run("0003/offsets.sql")
    op.drop_table("mention", schema="comention")
    op.drop_constraint(op.f("ck_sentence_span"), "sentence", schema="comention", type_="check")
    op.drop_column("sentence", "text", schema="comention")
    op.create_check_constraint(
        op.f("ck_sentence_span"), "sentence", "0 <= start_char AND start_char < end_char", schema="comention"
    )
    op.create_table_comment(
        "sentence",
        "Offsets into the citation's text, which holds the words; a trigger refuses what does not lie inside it.",
        schema="comention",
    )
    _run("0003/ranking.sql", "0003/sentences.sql", "0003/history.sql", "0003/roles.sql")


def _create_gin(name: str, table: str, keys: list[str | sa.TextClause], *, pending_kb: int) -> None:
    op.create_index(
        name,
        table,
        keys,
        unique=False,
        schema="comention",
        postgresql_using="gin",
        postgresql_with={"fastupdate": "on", "gin_pending_list_limit": str(pending_kb)},
    )


def _create_search_tables() -> None:
    op.create_table(
        "unindexed_citation",
        sa.Column("pmid", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["pmid"], ["comention.citation.pmid"], name=op.f("fk_unindexed_citation_pmid_citation"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pmid", name=op.f("pk_unindexed_citation")),
        schema="comention",
        comment="Citations whose sentences full-text search does not find yet.",
    )
    op.create_table(
        "sentence_text",
        sa.Column("pmid", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("document", postgresql.TSVECTOR(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pmid", "ordinal"],
            ["comention.sentence.pmid", "comention.sentence.ordinal"],
            name=op.f("fk_sentence_text_pmid_ordinal_sentence"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("pmid", "ordinal", name=op.f("pk_sentence_text")),
        schema="comention",
        comment="What full-text search reads: the words of each sentence with their places. Filled from the citations' texts "
        "behind the writers, which need not wait for it.",
    )
    _create_gin(
        "ix_sentence_text_document",
        "sentence_text",
        ["document", sa.text("comention.search_blocks(pmid)"), sa.text("comention.word_pairs(document)")],
        pending_kb=256,
    )


def _create_count_tables() -> None:
    for view in ("analysis.cooccurrence", "comention.cooccurrence_cell", "comention.cooccurrence_part"):
        op.execute(f"DROP VIEW {view}")
    op.drop_table("cooccurrence_count", schema="comention")
    op.drop_table("cooccurrence_delta", schema="comention")
    op.create_table(
        "cooccurrence_total",
        *_count_columns(),
        sa.CheckConstraint(
            "sentence_count >= 0 AND citation_count >= 0", name=op.f("ck_cooccurrence_total_not_negative")
        ),
        sa.PrimaryKeyConstraint("annotator_id", "drug_id", "condition_id", name=op.f("pk_cooccurrence_total")),
        schema="comention",
        comment="Pairs, their margins (one side 0) and the whole (both 0), over all years and by year; the truth is this plus "
        "the deltas.",
    )
    # Years of a frequent cell take some kilobytes: to pack them at every folding would take longer than to write them.
    op.execute("ALTER TABLE comention.cooccurrence_total ALTER COLUMN by_year SET STORAGE PLAIN")
    ranking = [sa.text("citation_count DESC"), sa.text("sentence_count DESC")]
    # Each margin stands in the one ranking that shows it: half of what is folded is margins, and an index takes a fifth of it.
    indexes: list[tuple[str, list[str | sa.TextClause], str]] = [
        ("drug", ["annotator_id", "drug_id", *ranking, "condition_id"], "condition_id > 0"),
        ("condition", ["annotator_id", "condition_id", *ranking, "drug_id"], "drug_id > 0"),
        ("pair", ["annotator_id", *ranking], "drug_id > 0 AND condition_id > 0"),
        # What one name has in all: a small index of few pages, for suggestions look up dozens.
        ("margin", ["annotator_id", "drug_id", "condition_id"], "drug_id = 0 OR condition_id = 0"),
    ]
    for name, columns, where in indexes:
        op.create_index(
            f"ix_cooccurrence_total_{name}",
            "cooccurrence_total",
            columns,
            unique=False,
            schema="comention",
            postgresql_where=sa.text(where),
        )
    # A delta is told from no other: a number, and an index of the numbers, would take time at every write.
    op.create_table(
        "cooccurrence_delta",
        *_count_columns(),
        schema="comention",
        comment="Changes not yet folded into the counts; appended by the transaction that makes the change.",
    )
    _index_deltas()
    op.create_table(
        "past_contribution",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("pmid", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.Column("counted_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counted_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it no longer counts, or counts otherwise"),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        _integers("drug_ids", "concepts, as in the counts; the arrays go in step"),
        _integers("condition_ids"),
        _integers("sentence_counts"),
        sa.CheckConstraint(
            "reason IN ('revision', 'retraction', 'deletion', 'removal', 're-annotation', 're-linking', 'correction')",
            name=op.f("ck_past_contribution_reason"),
        ),
        sa.CheckConstraint("counted_since <= counted_until", name=op.f("ck_past_contribution_interval")),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["comention.annotator.id"], name=op.f("fk_past_contribution_annotator_id_annotator")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_past_contribution")),
        schema="comention",
        comment="What a citation contributed to the counts before a change; from it the counts of an earlier time are told.",
    )
    for first, second in (("annotator_id", "counted_until"), ("pmid", "annotator_id")):
        op.create_index(
            op.f(f"ix_past_contribution_{first}_{second}"),
            "past_contribution",
            [first, second],
            unique=False,
            schema="comention",
        )
    op.create_table(
        "promotion",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.Column("promoted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["comention.annotator.id"], name=op.f("fk_promotion_annotator_id_annotator")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotion")),
        schema="comention",
        comment="Which annotator the default views have shown since when.",
    )


def downgrade() -> None:
    _restore_counts_by_year()
    _run("0003/downgrade.sql")
    op.drop_table("promotion", schema="comention")
    op.drop_table("past_contribution", schema="comention")
    op.drop_table("cooccurrence_total", schema="comention")
    op.drop_table("cooccurrence_delta", schema="comention")
    _restore_deltas()
    op.drop_table("sentence_text", schema="comention")
    op.drop_table("unindexed_citation", schema="comention")
    _restore_sentences_and_mentions()
    op.drop_index("ix_citation_retracted", table_name="citation", schema="comention")
    op.drop_index("ix_name_prefix", table_name="name", schema="comention")
    op.drop_index("ix_name_trigrams", table_name="name", schema="comention")
    op.drop_index(op.f("ix_annotation_annotator_id_counted_since"), table_name="annotation", schema="comention")
    op.drop_column("annotation", "counted_since", schema="comention")
    op.execute("DROP FUNCTION comention.refuse_wrong_mentions()")
    op.execute("DROP FUNCTION comention.fill_sentence_text()")
    op.execute("DROP FUNCTION comention.refuse_text_change_under_sentences() CASCADE")
    op.execute("DROP FUNCTION comention.mention_keys(integer, integer[])")
    op.execute("DROP FUNCTION comention.pair_keys(integer, integer[], integer[])")
    op.execute("DROP FUNCTION comention.name_pair(integer, integer)")
    op.execute("DROP FUNCTION comention.search_blocks(integer)")
    op.execute("DROP FUNCTION comention.read_phrases(tsquery)")
    op.execute("DROP FUNCTION comention.word_pairs(tsvector)")
    op.execute("DROP FUNCTION comention.word_pair(text, text)")
    _run(
        "0001/offsets.sql",
        "0001/ledger.sql",
        "0001/counts.sql",
        "0001/analysis.sql",
        "0002/offsets.sql",
        "0002/analysis.sql",
    )


def _count_columns_by_year() -> list[sa.Column[int]]:
    return [
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.Column("drug_id", sa.Integer(), nullable=False, comment=CELL),
        sa.Column("condition_id", sa.Integer(), nullable=False, comment=CELL),
        sa.Column("year", sa.SmallInteger(), nullable=False, comment="of publication; 0 where unknown"),
        sa.Column("sentence_count", sa.BigInteger(), nullable=False),
        sa.Column("citation_count", sa.BigInteger(), nullable=False),
    ]


def _restore_counts_by_year() -> None:
    op.create_table(
        "cooccurrence_count",
        *_count_columns_by_year(),
        sa.CheckConstraint(
            "sentence_count >= 0 AND citation_count >= 0", name=op.f("ck_cooccurrence_count_not_negative")
        ),
        sa.PrimaryKeyConstraint("annotator_id", "drug_id", "condition_id", "year", name=op.f("pk_cooccurrence_count")),
        schema="comention",
        comment="Pairs, their margins (one side 0) and the whole (both 0), per year; the truth is this plus the deltas.",
    )
    op.execute(
        "INSERT INTO comention.cooccurrence_count "
        "SELECT annotator_id, drug_id, condition_id, year, sentence_count, citation_count FROM comention.cooccurrence_cell "
        "WHERE sentence_count <> 0 OR citation_count <> 0 ORDER BY 1, 2, 3, 4"
    )
    op.create_index(
        op.f("ix_cooccurrence_count_annotator_id_condition_id_drug_id"),
        "cooccurrence_count",
        ["annotator_id", "condition_id", "drug_id"],
        unique=False,
        schema="comention",
    )
    op.create_index(
        "ix_cooccurrence_count_empty",
        "cooccurrence_count",
        ["annotator_id"],
        unique=False,
        schema="comention",
        postgresql_where=sa.text("sentence_count = 0 AND citation_count = 0"),
    )


def _restore_deltas() -> None:
    op.create_table(
        "cooccurrence_delta",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *_count_columns_by_year(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cooccurrence_delta")),
        schema="comention",
        comment="Changes not yet folded into cooccurrence_count; appended by the transaction that makes the change.",
    )
    _index_deltas()


def _index_deltas() -> None:
    for first, second in (("drug_id", "condition_id"), ("condition_id", "drug_id")):
        op.create_index(
            op.f(f"ix_cooccurrence_delta_annotator_id_{first}_{second}"),
            "cooccurrence_delta",
            ["annotator_id", first, second],
            unique=False,
            schema="comention",
        )


def _restore_sentences_and_mentions() -> None:
    op.drop_table_comment("sentence", schema="comention")
    op.drop_constraint(op.f("ck_sentence_span"), "sentence", schema="comention", type_="check")
    op.add_column("sentence", sa.Column("text", sa.Text(), nullable=True), schema="comention")
    op.execute(
        "UPDATE comention.sentence s SET text = substr(c.text, s.start_char + 1, s.end_char - s.start_char) "
        "FROM comention.citation c WHERE c.pmid = s.pmid"
    )
    op.alter_column("sentence", "text", nullable=False, schema="comention")
    op.create_check_constraint(
        op.f("ck_sentence_span"),
        "sentence",
        "0 <= start_char AND length(text) = end_char - start_char AND text <> ''",
        schema="comention",
    )
    op.create_table(
        "mention",
        sa.Column("pmid", sa.Integer(), nullable=False),
        sa.Column("sentence_ordinal", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.Column("start_char", sa.Integer(), nullable=False),
        sa.Column("end_char", sa.Integer(), nullable=False),
        sa.Column("name_id", sa.Integer(), nullable=False),
        sa.Column("score", sa.REAL(), nullable=False),
        sa.CheckConstraint("0 <= start_char AND start_char < end_char", name=op.f("ck_mention_span")),
        sa.CheckConstraint("score BETWEEN 0 AND 1", name=op.f("ck_mention_score")),
        sa.ForeignKeyConstraint(["name_id"], ["comention.name.id"], name=op.f("fk_mention_name_id_name")),
        sa.ForeignKeyConstraint(
            ["pmid", "annotator_id"],
            ["comention.annotation.pmid", "comention.annotation.annotator_id"],
            name=op.f("fk_mention_pmid_annotator_id_annotation"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["pmid", "sentence_ordinal"],
            ["comention.sentence.pmid", "comention.sentence.ordinal"],
            name=op.f("fk_mention_pmid_sentence_ordinal_sentence"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "pmid", "sentence_ordinal", "annotator_id", "start_char", "end_char", "name_id", name=op.f("pk_mention")
        ),
        schema="comention",
        comment="Offsets count code points within the sentence; a trigger refuses what does not lie inside it.",
    )
    op.execute(
        "INSERT INTO comention.mention (pmid, annotator_id, sentence_ordinal, start_char, end_char, name_id, score) "
        "SELECT m.pmid, m.annotator_id, u.* FROM comention.citation_mentions m CROSS JOIN LATERAL "
        "unnest(m.sentence_ordinals, m.starts, m.ends, m.name_ids, m.scores) u (ordinal, s, e, name_id, score)"
    )
    op.create_index(
        op.f("ix_mention_name_id_annotator_id_pmid_sentence_ordinal"),
        "mention",
        ["name_id", "annotator_id", "pmid", "sentence_ordinal"],
        unique=False,
        schema="comention",
    )
    op.drop_table("citation_mentions", schema="comention")
