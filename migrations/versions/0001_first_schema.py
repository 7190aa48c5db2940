"""The first schema: citations, sentences, mentions, the two ledgers, counts, and the views over them."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQL_PARTS = ("offsets.sql", "ledger.sql", "counts.sql", "analysis.sql")


def upgrade() -> None:
    op.create_table(
        "annotator",
        sa.Column("id", sa.SmallInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("labels", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("config_hash", sa.Text(), nullable=False),
        sa.Column("promoted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotator")),
        sa.UniqueConstraint(
            "name",
            "version",
            "model",
            "revision",
            "config_hash",
            name=op.f("uq_annotator_name_version_model_revision_config_hash"),
        ),
        schema="comention",
        comment="Two annotators stand side by side over the same sentences; the default views show the promoted one.",
    )
    op.create_index(
        "uq_annotator_promoted",
        "annotator",
        ["promoted"],
        unique=True,
        schema="comention",
        postgresql_where=sa.text("promoted"),
    )
    op.create_table(
        "cooccurrence_count",
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.Column("drug_id", sa.Integer(), nullable=False, comment="concept; 0 stands for any"),
        sa.Column("condition_id", sa.Integer(), nullable=False, comment="concept; 0 stands for any"),
        sa.Column("year", sa.SmallInteger(), nullable=False, comment="of publication; 0 where unknown"),
        sa.Column("sentence_count", sa.BigInteger(), nullable=False),
        sa.Column("citation_count", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "sentence_count >= 0 AND citation_count >= 0", name=op.f("ck_cooccurrence_count_not_negative")
        ),
        sa.PrimaryKeyConstraint("annotator_id", "drug_id", "condition_id", "year", name=op.f("pk_cooccurrence_count")),
        schema="comention",
        comment="Pairs, their margins (one side 0) and the whole (both 0), per year; the truth is this plus the deltas.",
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
    op.create_table(
        "cooccurrence_delta",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.Column("drug_id", sa.Integer(), nullable=False, comment="concept; 0 stands for any"),
        sa.Column("condition_id", sa.Integer(), nullable=False, comment="concept; 0 stands for any"),
        sa.Column("year", sa.SmallInteger(), nullable=False, comment="of publication; 0 where unknown"),
        sa.Column("sentence_count", sa.BigInteger(), nullable=False),
        sa.Column("citation_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cooccurrence_delta")),
        schema="comention",
        comment="Changes not yet folded into cooccurrence_count; appended by the transaction that makes the change.",
    )
    op.create_index(
        op.f("ix_cooccurrence_delta_annotator_id_condition_id_drug_id"),
        "cooccurrence_delta",
        ["annotator_id", "condition_id", "drug_id"],
        unique=False,
        schema="comention",
    )
    op.create_index(
        op.f("ix_cooccurrence_delta_annotator_id_drug_id_condition_id"),
        "cooccurrence_delta",
        ["annotator_id", "drug_id", "condition_id"],
        unique=False,
        schema="comention",
    )
    op.create_table(
        "ingest_run",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "source", sa.Text(), nullable=False, comment="what the user named: a file's name, a query, a list of PMIDs"
        ),
        sa.Column(
            "source_key",
            sa.Text(),
            nullable=False,
            comment="what makes it the same source again: a digest of its content",
        ),
        sa.Column("program_version", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="running", nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read", sa.Integer(), server_default="0", nullable=False),
        sa.Column("new", sa.Integer(), server_default="0", nullable=False),
        sa.Column("revised", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("deleted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("superseded", sa.Integer(), server_default="0", nullable=False),
        sa.Column("withdrawn", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refused", sa.Integer(), server_default="0", nullable=False),
        sa.Column("missing", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("status IN ('running', 'done', 'failed')", name=op.f("ck_ingest_run_status")),
        sa.CheckConstraint(
            "read = new + revised + unchanged + deleted + superseded + withdrawn + refused + missing",
            name=op.f("ck_ingest_run_adds_up"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest_run")),
        schema="comention",
        comment="One attempt to bring a source in; an interrupted one is taken up again under the same row.",
    )
    op.create_index("ix_ingest_run_source_key", "ingest_run", ["source_key", "id"], unique=False, schema="comention")
    op.create_table(
        "label",
        sa.Column("id", sa.SmallInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label")),
        sa.UniqueConstraint("name", name=op.f("uq_label_name")),
        schema="comention",
    )
    op.create_table(
        "citation",
        sa.Column("pmid", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False, comment="the canonical text: title, newline, abstract"),
        sa.Column("title_length", sa.Integer(), nullable=False),
        sa.Column("journal", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("published_on", sa.Date(), nullable=True),
        sa.Column("published_precision", sa.Text(), nullable=True),
        sa.Column("publication_types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("languages", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("keywords", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("mesh", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("substances", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("corrections", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("other_abstracts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("vernacular_title", sa.Text(), nullable=True),
        sa.Column("doi", sa.Text(), nullable=True),
        sa.Column("pmc", sa.Text(), nullable=True),
        sa.Column("retracted", sa.Boolean(), nullable=False),
        sa.Column("revised_on", sa.Date(), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("record_hash", sa.LargeBinary(), nullable=False),
        sa.Column("splitter", sa.Text(), nullable=False, comment="which splitter cut its sentences"),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "published_precision IN ('year', 'month', 'day')", name=op.f("ck_citation_published_precision")
        ),
        sa.CheckConstraint("pmid > 0", name=op.f("ck_citation_pmid")),
        sa.CheckConstraint("title_length BETWEEN 0 AND length(text)", name=op.f("ck_citation_title_length")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["comention.ingest_run.id"], name=op.f("fk_citation_run_id_ingest_run"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("pmid", name=op.f("pk_citation")),
        schema="comention",
    )
    op.create_index(op.f("ix_citation_run_id"), "citation", ["run_id"], unique=False, schema="comention")
    op.create_table(
        "concept",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("label_id", sa.SmallInteger(), nullable=False),
        sa.Column(
            "key", sa.Text(), nullable=False, comment="a CURIE, or the name itself where no terminology knows it"
        ),
        sa.Column("curie", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("preferred_name", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["label_id"], ["comention.label.id"], name=op.f("fk_concept_label_id_label")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_concept")),
        sa.UniqueConstraint("label_id", "key", name=op.f("uq_concept_label_id_key")),
        schema="comention",
    )
    op.create_table(
        "deleted_citation",
        sa.Column("pmid", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column(
            "revised_on", sa.Date(), nullable=True, comment="of the record that was stored when PubMed withdrew it"
        ),
        sa.Column("source_key", sa.Text(), nullable=False, comment="the source that withdrew it"),
        sa.Column("deleted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("pmid", name=op.f("pk_deleted_citation")),
        schema="comention",
        comment="What PubMed has withdrawn, up to which version and revision; a newer record comes back, an older one not.",
    )
    op.create_table(
        "ingest_exception",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("pmid", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('superseded', 'withdrawn', 'refused', 'missing')", name=op.f("ck_ingest_exception_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["comention.ingest_run.id"],
            name=op.f("fk_ingest_exception_run_id_ingest_run"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", "position", name=op.f("pk_ingest_exception")),
        schema="comention",
        comment="Every record that was read and not stored, with its reason.",
    )
    op.create_index(op.f("ix_ingest_exception_pmid"), "ingest_exception", ["pmid"], unique=False, schema="comention")
    op.create_table(
        "annotation",
        sa.Column("pmid", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False, comment="of the content that was annotated"),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("sentence_count", sa.Integer(), nullable=False, comment="sentences that could be read"),
        sa.Column("mention_count", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("annotated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'done') = (detail IS NULL)", name=op.f("ck_annotation_detail")),
        sa.CheckConstraint("status IN ('done', 'truncated', 'failed')", name=op.f("ck_annotation_status")),
        sa.ForeignKeyConstraint(
            ["annotator_id"], ["comention.annotator.id"], name=op.f("fk_annotation_annotator_id_annotator")
        ),
        sa.ForeignKeyConstraint(
            ["pmid"], ["comention.citation.pmid"], name=op.f("fk_annotation_pmid_citation"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pmid", "annotator_id", name=op.f("pk_annotation")),
        schema="comention",
        comment="The ledger: no row means not yet run; a row with another content_hash means out of date.",
    )
    op.create_table(
        "name",
        sa.Column("id", sa.Integer(), sa.Identity(always=True), nullable=False),
        sa.Column("label_id", sa.SmallInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False, comment="the normalised surface form"),
        sa.Column("concept_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["concept_id"], ["comention.concept.id"], name=op.f("fk_name_concept_id_concept")),
        sa.ForeignKeyConstraint(["label_id"], ["comention.label.id"], name=op.f("fk_name_label_id_label")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_name")),
        sa.UniqueConstraint("label_id", "text", name=op.f("uq_name_label_id_text")),
        schema="comention",
    )
    op.create_index(op.f("ix_name_concept_id"), "name", ["concept_id"], unique=False, schema="comention")
    op.create_table(
        "section",
        sa.Column("pmid", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("start_char", sa.Integer(), nullable=False),
        sa.Column("end_char", sa.Integer(), nullable=False),
        sa.CheckConstraint("0 <= start_char AND start_char <= end_char", name=op.f("ck_section_span")),
        sa.ForeignKeyConstraint(
            ["pmid"], ["comention.citation.pmid"], name=op.f("fk_section_pmid_citation"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pmid", "ordinal", name=op.f("pk_section")),
        schema="comention",
    )
    op.create_table(
        "annotation_exception",
        sa.Column("pmid", sa.Integer(), nullable=False),
        sa.Column("annotator_id", sa.SmallInteger(), nullable=False),
        sa.Column("sentence_ordinal", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.CheckConstraint("status IN ('truncated', 'failed')", name=op.f("ck_annotation_exception_status")),
        sa.ForeignKeyConstraint(
            ["pmid", "annotator_id"],
            ["comention.annotation.pmid", "comention.annotation.annotator_id"],
            name=op.f("fk_annotation_exception_pmid_annotator_id_annotation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("pmid", "annotator_id", "sentence_ordinal", name=op.f("pk_annotation_exception")),
        schema="comention",
        comment="The sentences that an annotator could not read, or not to their end, with the reason.",
    )
    op.create_table(
        "sentence",
        sa.Column("pmid", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("section_ordinal", sa.SmallInteger(), nullable=False),
        sa.Column("start_char", sa.Integer(), nullable=False),
        sa.Column("end_char", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "0 <= start_char AND length(text) = end_char - start_char AND text <> ''", name=op.f("ck_sentence_span")
        ),
        sa.CheckConstraint("ordinal BETWEEN 0 AND 99999", name=op.f("ck_sentence_ordinal")),
        sa.ForeignKeyConstraint(
            ["pmid", "section_ordinal"],
            ["comention.section.pmid", "comention.section.ordinal"],
            name=op.f("fk_sentence_pmid_section_ordinal_section"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("pmid", "ordinal", name=op.f("pk_sentence")),
        schema="comention",
    )
    op.create_index(
        "ix_sentence_sentence_id",
        "sentence",
        [sa.literal_column("((pmid::bigint * 100000 + ordinal))")],
        unique=True,
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
    op.create_index(
        op.f("ix_mention_name_id_annotator_id_pmid_sentence_ordinal"),
        "mention",
        ["name_id", "annotator_id", "pmid", "sentence_ordinal"],
        unique=False,
        schema="comention",
    )
    driver = op.get_bind().connection.driver_connection
    if driver is None:
        raise RuntimeError("this migration needs a live connection")
    for part in SQL_PARTS:
        driver.execute((Path(__file__).parent.parent / "sql" / revision / part).read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP SCHEMA analysis CASCADE")
    op.execute("DROP VIEW comention.cooccurrence_cell")
    op.execute("DROP VIEW comention.cooccurrence_part")
    op.execute("DROP VIEW comention.owed")
    op.execute("DROP FUNCTION comention.fold_counts()")
    op.execute("DROP FUNCTION comention.append_counts(integer[], smallint, integer)")
    op.execute("DROP FUNCTION comention.contribution(integer[], smallint)")
    op.drop_index(
        op.f("ix_mention_name_id_annotator_id_pmid_sentence_ordinal"), table_name="mention", schema="comention"
    )
    op.drop_table("mention", schema="comention")
    op.drop_index("ix_sentence_sentence_id", table_name="sentence", schema="comention")
    op.drop_table("sentence", schema="comention")
    op.drop_table("annotation_exception", schema="comention")
    op.drop_table("section", schema="comention")
    op.drop_index(op.f("ix_name_concept_id"), table_name="name", schema="comention")
    op.drop_table("name", schema="comention")
    op.drop_table("annotation", schema="comention")
    op.drop_index(op.f("ix_ingest_exception_pmid"), table_name="ingest_exception", schema="comention")
    op.drop_table("ingest_exception", schema="comention")
    op.drop_table("deleted_citation", schema="comention")
    op.drop_table("concept", schema="comention")
    op.drop_index(op.f("ix_citation_run_id"), table_name="citation", schema="comention")
    op.drop_table("citation", schema="comention")
    op.drop_table("label", schema="comention")
    op.drop_index("ix_ingest_run_source_key", table_name="ingest_run", schema="comention")
    op.drop_table("ingest_run", schema="comention")
    op.drop_index(
        op.f("ix_cooccurrence_delta_annotator_id_drug_id_condition_id"),
        table_name="cooccurrence_delta",
        schema="comention",
    )
    op.drop_index(
        op.f("ix_cooccurrence_delta_annotator_id_condition_id_drug_id"),
        table_name="cooccurrence_delta",
        schema="comention",
    )
    op.drop_table("cooccurrence_delta", schema="comention")
    op.drop_index(
        "ix_cooccurrence_count_empty",
        table_name="cooccurrence_count",
        schema="comention",
        postgresql_where=sa.text("sentence_count = 0 AND citation_count = 0"),
    )
    op.drop_index(
        op.f("ix_cooccurrence_count_annotator_id_condition_id_drug_id"),
        table_name="cooccurrence_count",
        schema="comention",
    )
    op.drop_table("cooccurrence_count", schema="comention")
    op.drop_index(
        "uq_annotator_promoted", table_name="annotator", schema="comention", postgresql_where=sa.text("promoted")
    )
    op.drop_table("annotator", schema="comention")
    op.execute("DROP FUNCTION comention.refuse_wrong_mentions()")
    op.execute("DROP FUNCTION comention.refuse_wrong_sentences()")
    op.execute("DROP FUNCTION comention.refuse_text_change_under_sentences()")
