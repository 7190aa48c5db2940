"""Exports, read back by programs that share no code with what wrote them."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bioc
import polars
import psycopg
import pytest
from bioc import biocjson, biocxml
from hypothesis import given
from hypothesis import strategies as st

from comention.offset_units import OFFSET_UNITS, OffsetUnit, convert_offset
from pipeline.exports.export_parquet import write_folder
from pipeline.exports.parquet import ParquetColumn
from storage.database import Database, parse_url
from storage.describe import list_views
from storage.embedded import EmbeddedPostgres
from storage.export_documents import DOCUMENT_WRITERS, ExportHeader
from storage.exports import BATCH_CITATIONS, ExportedCitation, ExportedMention, Selection, open_snapshot
from tests.builders import article_xml, write_articles
from tests.conftest import COMMAND, Comention, Outcome, command_environment, run_command

# Astral characters, combining marks, a joiner, a line separator, a right-to-left word.
ODD = "𝒜 cafe\u0301 😀👩\u200d⚕ \u2028שלום clozapine α-\U0001f9ec caused agranulocytosis \U00010348 rash."
ODD_TITLE = "\U0001f489 Lithium e\u0301t tremor"


@dataclass
class Read:
    """A document as a reader sees it: texts by their offset, and (start, end, text, label) of each mention."""

    title: str = ""
    abstract: str = ""
    mentions: list[tuple[int, int, str, str]] = field(default_factory=list)
    identifiers: list[str] = field(default_factory=list)


def read_pubtator(content: bytes) -> dict[str, Read]:
    """Read PubTator from its description: `PMID|t|…`, `PMID|a|…`, tab lines, an empty line after each document."""
    found: dict[str, Read] = defaultdict(Read)
    blocks = content.decode().split("\n\n")
    assert blocks.pop() == ""
    for block in blocks:
        title, abstract, *lines = block.split("\n")
        pmid, mark, text = title.split("|", 2)
        assert mark == "t"
        found[pmid].title = text
        assert abstract.startswith(f"{pmid}|a|")
        found[pmid].abstract = abstract.removeprefix(f"{pmid}|a|")
        for line in lines:
            name, start, end, text, label, identifier = line.split("\t")
            assert name == pmid
            found[pmid].mentions.append((int(start), int(end), text, label))
            found[pmid].identifiers.append(identifier)
    return dict(found)


def read_collection(collection: bioc.BioCCollection) -> dict[str, Read]:
    found = {}
    for document in collection.documents:
        one = found[document.id] = Read()
        for passage in document.passages:
            setattr(one, passage.infons["type"], passage.text or "")
            for annotation in passage.annotations:
                [place] = annotation.locations
                one.mentions.append((place.offset, place.end, annotation.text, annotation.infons["type"]))
                one.identifiers.append(annotation.infons.get("identifier", "-"))
    return found


def read_back(format_name: str, content: bytes) -> dict[str, Read]:
    if format_name == "pubtator":
        return read_pubtator(content)
    if format_name == "bioc-json":
        return read_collection(biocjson.loads(content.decode()))
    return read_collection(biocxml.load(io.BytesIO(content)))


def cut(text: str, start: int, end: int, unit: str) -> str:
    """Cut a text at offsets of a unit, as a program that counts in that unit does."""
    if unit == "codepoint":
        return text[start:end]
    if unit == "utf16":
        return text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")
    return text.encode()[start:end].decode()


def assert_slices(documents: dict[str, Read], unit: str) -> int:
    count = 0
    for one in documents.values():
        whole = f"{one.title}\n{one.abstract}"
        for start, end, text, _ in one.mentions:
            assert cut(whole, start, end, unit) == text != ""
            count += 1
    return count


TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        st.sampled_from("\u0301\u200d😀𝒜\t\r\n\x01\ufffe|&<\u2028"),
    ),
    max_size=40,
)


@st.composite
def citations(draw: st.DrawFn) -> ExportedCitation:
    title, abstract = draw(TEXTS), draw(TEXTS)
    mentions = []
    for first, part in ((0, title), (len(title) + 1, abstract)):
        for _ in range(draw(st.integers(0, 3)) if part else 0):
            start = draw(st.integers(0, len(part) - 1))
            end = draw(st.integers(start + 1, len(part)))
            mentions.append(
                ExportedMention(
                    label="Drug", start_char=first + start, end_char=first + end, concept=part[start:end],
                    linked=draw(st.booleans()), score=0.5, annotator="test",
                )
            )  # fmt: skip
    mentions.sort(key=lambda one: (one.start_char, one.end_char))
    return ExportedCitation(
        pmid=draw(st.integers(1, 2**31 - 1)), title=title, abstract=abstract, journal=draw(st.none() | TEXTS), year=2020,
        doi=None, retracted=draw(st.booleans()), mentions=tuple(mentions),
    )  # fmt: skip


HEADER_FACTS = {"annotator": "test", "revision": "1", "date": "2026-01-01"}


@pytest.mark.parametrize("format_name", DOCUMENT_WRITERS)
@given(citation=citations(), unit=st.sampled_from(OFFSET_UNITS))
def test_every_mention_is_the_slice_at_its_offsets(
    format_name: str, citation: ExportedCitation, unit: OffsetUnit
) -> None:
    stream = io.BytesIO()
    altered = DOCUMENT_WRITERS[format_name]([citation], stream, ExportHeader(unit=unit, **HEADER_FACTS))
    documents = read_back(format_name, stream.getvalue())
    assert list(documents) == [str(citation.pmid)]
    assert assert_slices(documents, unit) == len(citation.mentions)
    [one] = documents.values()
    # Whatever is replaced is replaced one for one.
    assert (len(one.title), len(one.abstract)) == (len(citation.title), len(citation.abstract))
    if not altered:
        assert (one.title, one.abstract) == (citation.title, citation.abstract)


@given(text=TEXTS, data=st.data())
def test_offsets_are_those_of_the_encoded_text(text: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    assert convert_offset(text, offset, "codepoint") == offset
    assert convert_offset(text, offset, "utf8") == len(text[:offset].encode())
    assert convert_offset(text, offset, "utf16") == len(text[:offset].encode("utf-16-le")) // 2


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of three citations: an odd one with five mentions, a plain one with two, and one without any."""
    path = write_articles(
        tmp_path_factory.mktemp("export") / "odd.xml",
        [
            article_xml(1, ODD, title=ODD_TITLE),
            article_xml(2, "Warfarin caused haemorrhage."),
            article_xml(3, "Nothing of note."),
        ],
    )
    address = postgres.create_database("template_export", template=template)
    outcome = run_command("run", path, COMENTION_DATABASE__URL=address)
    assert outcome.status == 0, outcome.stderr
    yield "template_export"
    postgres.drop_database("template_export")


@pytest.fixture
def stored_address(postgres: EmbeddedPostgres, filled: str) -> Iterator[str]:
    """The address of a copy of it."""
    yield postgres.create_database("test_export", template=filled)
    postgres.drop_database("test_export")


@pytest.fixture
def stored(stored_address: str) -> Comention:
    """The command line on a copy of it."""

    def run(*arguments: str | Path, **settings: str) -> Outcome:
        return run_command(*arguments, **{"COMENTION_DATABASE__URL": stored_address, **settings})

    return run


def link_lithium(address: str) -> None:
    """Let a terminology know lithium."""
    with psycopg.connect(address) as connection:
        connection.execute(
            "WITH k AS (INSERT INTO comention.concept (label_id, key, curie) "
            "SELECT id, 'mesh:D008094', true FROM comention.label WHERE name = 'Drug' RETURNING id, label_id) "
            "UPDATE comention.name n SET concept_id = k.id FROM k WHERE n.label_id = k.label_id AND n.text = 'lithium'"
        )


@pytest.mark.parametrize("unit", OFFSET_UNITS)
@pytest.mark.parametrize("format_name", DOCUMENT_WRITERS)
def test_documents_come_back_with_all_that_is_stored(
    stored: Comention, stored_address: str, tmp_path: Path, format_name: str, unit: str
) -> None:
    link_lithium(stored_address)
    target = tmp_path / "out"
    outcome = stored("export", "--format", format_name, "--all", "--offsets", unit, "--output", target)
    assert outcome.status == 0, outcome.stderr
    assert outcome.stderr == f"3 citations with 7 mentions of lexicon written to {target}\n"
    documents = read_back(format_name, target.read_bytes())
    assert list(documents) == ["1", "2", "3"]
    assert (documents["1"].title, documents["1"].abstract) == (ODD_TITLE, ODD)
    assert assert_slices(documents, unit) == 7
    assert [(text, label) for _, _, text, label in documents["1"].mentions] == [
        ("Lithium", "Drug"), ("tremor", "Condition"), ("clozapine", "Drug"), ("agranulocytosis", "Condition"),
        ("rash", "Condition"),
    ]  # fmt: skip
    assert documents["1"].identifiers == ["mesh:D008094", "-", "-", "-", "-"]
    assert documents["3"].mentions == []


def test_bioc_says_what_it_holds_and_passes_its_own_validator(stored: Comention, tmp_path: Path) -> None:
    stored("export", "--format", "bioc-xml", "--all", "--output", tmp_path / "a.xml")
    stored("export", "--format", "bioc-json", "--all", "--output", tmp_path / "a.json")
    for collection in (
        biocxml.load(io.BytesIO((tmp_path / "a.xml").read_bytes())),
        biocjson.loads((tmp_path / "a.json").read_text(encoding="utf-8")),
    ):
        bioc.validate(collection)
        assert (collection.infons["annotator"], collection.infons["offsets"]) == ("lexicon", "codepoint")
        passage = collection.documents[1].passages[1]
        assert passage.offset == len("A case.") + 1
        assert passage.annotations[0].infons == {
            "type": "Drug", "concept": "warfarin", "annotator": "lexicon", "score": "0.9",
        }  # fmt: skip
        assert collection.documents[1].infons == {"journal": "Journal", "year": "2020"}


@pytest.mark.parametrize("unit", OFFSET_UNITS)
def test_parquet_has_the_views_and_offsets_that_cut(stored: Comention, tmp_path: Path, unit: str) -> None:
    folder = tmp_path / "tables"
    outcome = stored("export", "--format", "parquet", "--all", "--offsets", unit, "--output", folder)
    assert outcome.status == 0, outcome.stderr
    tables = {path.stem: polars.read_parquet(path) for path in folder.iterdir()}
    assert {name: len(table) for name, table in tables.items()} == {
        "citation": 3, "sentence": len(tables["sentence"]), "mention": 7, "cooccurrence": 4,
    }  # fmt: skip
    suffix = "char" if unit == "codepoint" else unit
    texts = {row["pmid"]: f"{row['title']}\n{row['abstract']}" for row in tables["citation"].to_dicts()}
    sentences = {row["sentence_id"]: row for row in tables["sentence"].to_dicts()}
    for row in sentences.values():
        assert cut(texts[row["pmid"]], row[f"start_{suffix}"], row[f"end_{suffix}"], unit) == row["text"]
    for row in tables["mention"].to_dicts():
        sentence = sentences[row["sentence_id"]]["text"]
        assert cut(sentence, row[f"start_{suffix}"], row[f"end_{suffix}"], unit) == row["text"]
        whole = texts[row["pmid"]]
        assert cut(whole, row[f"document_start_{suffix}"], row[f"document_end_{suffix}"], unit) == row["text"]
    assert set(tables["mention"].columns) >= {"label", "name", "concept", "score", "annotator"}
    assert tables["mention"].schema["score"] == polars.Float32
    assert tables["citation"].schema["languages"] == polars.List(polars.String)
    assert tables["citation"]["published_on"].dtype == polars.Date


def test_parquet_is_written_in_row_groups_with_dictionaries_and_comments(stored_address: str, tmp_path: Path) -> None:
    database = Database(parse_url(stored_address, connect_timeout=10))
    views = {
        view.name: tuple(ParquetColumn(name=one.name, type=one.type, comment=one.comment) for one in view.columns)
        for view in list_views(database)
        if view.name in ("citation", "sentence", "mention", "cooccurrence")
    }
    done: list[int] = []
    with open_snapshot(database) as snapshot:
        write_folder(
            tmp_path, snapshot, Selection(pmids=None), views, unit="codepoint", facts={"offsets": "codepoint"},
            on_progress=done.append, row_groups=dict.fromkeys(views, 2),
        )  # fmt: skip
    database.close()
    import pyarrow.parquet as pq

    file = pq.ParquetFile(tmp_path / "mention.parquet")
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [2, 2, 2, 1]
    group = file.metadata.row_group(0)
    encodings = {
        group.column(number).path_in_schema: group.column(number).encodings for number in range(group.num_columns)
    }
    assert "RLE_DICTIONARY" in encodings["concept"]
    assert "RLE_DICTIONARY" not in encodings["text"]
    assert file.schema_arrow.field("score").metadata[b"comment"] == b"The annotator's confidence, 0 to 1"
    assert len(polars.read_parquet(tmp_path / "mention.parquet")) == 7
    assert sum(done) == 3


def test_batches_lose_and_repeat_nothing(comention: Comention, tmp_path: Path) -> None:
    count = 2 * BATCH_CITATIONS + 1
    path = write_articles(tmp_path / "many.xml", [article_xml(number) for number in range(1, count + 1)])
    comention("run", path)
    everything = comention("export", "--format", "pubtator", "--all").stdout.encode()
    assert [int(pmid) for pmid in read_pubtator(everything)] == list(range(1, count + 1))
    assert assert_slices(read_pubtator(everything), "codepoint") == 2 * count
    listed = tmp_path / "pmids.txt"
    listed.write_text("\n".join(map(str, range(count, 0, -1))), encoding="utf-8")
    assert comention("export", "--format", "pubtator", "--pmids-file", listed).stdout.encode() == everything


def test_a_selection_has_its_citations_and_labels_only(stored: Comention, tmp_path: Path) -> None:
    outcome = stored("export", "--format", "pubtator", "--pmid", "2", "--pmid", "1", "--label", "Condition")
    documents = read_pubtator(outcome.stdout.encode())
    assert list(documents) == ["1", "2"]
    assert {label for one in documents.values() for *_, label in one.mentions} == {"Condition"}
    folder = tmp_path / "tables"
    outcome = stored("export", "--format", "parquet", "--pmid", "2", "--label", "Drug", "--output", folder)
    assert sorted(path.name for path in folder.iterdir()) == ["citation.parquet", "mention.parquet", "sentence.parquet"]
    assert "co-occurrences are those of the promoted annotator" in outcome.stderr
    assert polars.read_parquet(folder / "mention.parquet")["text"].to_list() == ["Warfarin"]


def test_gz_packs_and_the_same_export_is_the_same_file(stored: Comention, tmp_path: Path) -> None:
    for name in ("a.txt", "a.txt.gz", "b.txt.gz"):
        assert stored("export", "--format", "pubtator", "--all", "--output", tmp_path / name).status == 0
    assert gzip.decompress((tmp_path / "a.txt.gz").read_bytes()) == (tmp_path / "a.txt").read_bytes()
    assert (tmp_path / "a.txt.gz").read_bytes() == (tmp_path / "b.txt.gz").read_bytes()


def test_a_tab_that_got_into_a_text_becomes_a_space_and_is_counted() -> None:
    mention = ExportedMention(
        label="Drug", start_char=8, end_char=15, concept="lithium", linked=False, score=1.0, annotator="a"
    )
    citation = ExportedCitation(
        pmid=1, title="A\ttitle", abstract="lithium\nhere", journal=None, year=None, doi=None, retracted=False,
        mentions=(mention,),
    )  # fmt: skip
    stream = io.BytesIO()
    assert DOCUMENT_WRITERS["pubtator"]([citation], stream, ExportHeader(unit="codepoint", **HEADER_FACTS)) == 1
    assert stream.getvalue() == b"1|t|A title\n1|a|lithium here\n1\t8\t15\tlithium\tDrug\t-\n\n"


def test_real_abstracts_come_back_with_every_mention(
    comention: Comention, corpora: Path, database_address: str, tmp_path: Path
) -> None:
    source = corpora / "bc5cdr" / "synthetic_efetch_CDR_Development.xml.gz"
    assert comention("run", source).status == 0
    with psycopg.connect(database_address) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM analysis.citation), (SELECT count(*) FROM analysis.mention), "
            "(SELECT count(*) FROM analysis.sentence), (SELECT count(*) FROM analysis.cooccurrence)"
        ).fetchone()
    assert row is not None
    citations, mentions, sentences, pairs = row
    assert citations == 500
    assert mentions > 200
    for format_name in DOCUMENT_WRITERS:
        target = tmp_path / format_name
        comention("export", "--format", format_name, "--all", "--output", target)
        documents = read_back(format_name, target.read_bytes())
        assert (len(documents), assert_slices(documents, "codepoint")) == (citations, mentions), format_name
    comention("export", "--format", "parquet", "--all", "--output", tmp_path / "tables")
    counts = {path.stem: len(polars.read_parquet(path)) for path in (tmp_path / "tables").iterdir()}
    assert counts == {"citation": citations, "mention": mentions, "sentence": sentences, "cooccurrence": pairs}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pmid", "9"], "comention: not stored: PMID 9; nothing is exported: bring them in with "
                          "`comention run --pmids N,N…`"),
        (["--pmid", "9", "--pmid", "1"], "or leave them out with --skip-unknown"),
        (["--all", "--label", "Gene"], "comention: lexicon gives no label 'Gene'; it gives Drug, Condition"),
        (["--all", "--annotator", "nobody"], "comention: no annotator 'nobody' has run on this database; "
                                             "those that have: lexicon"),
        (["--all", "--output", "/nowhere/at/all"], "comention: /nowhere/at/all cannot be written: No such file or "
                                                   "directory; name another place, or make room"),
        (["--all", "--output", "/"], "comention: / cannot be written: it is a folder; name another place, or make room"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_said_in_one_sentence(stored: Comention, arguments: list[str], said: str) -> None:
    outcome = stored("export", "--format", "pubtator", *arguments)
    assert outcome.status == 1
    assert said in outcome.stderr.strip()
    assert len(outcome.stderr.strip().splitlines()) == 1
    assert outcome.stdout == ""


@pytest.mark.parametrize("format_name", DOCUMENT_WRITERS)
def test_a_full_disk_is_said_in_one_sentence(stored: Comention, format_name: str) -> None:
    outcome = stored("export", "--format", format_name, "--all", "--output", "/dev/full")
    assert (outcome.status, outcome.stderr) == (
        1,
        "comention: /dev/full cannot be written: No space left on device; name another place, or make room\n",
    )


def test_unknown_pmids_can_be_left_out(stored: Comention) -> None:
    outcome = stored("export", "--format", "pubtator", "--pmid", "9", "--pmid", "2", "--skip-unknown")
    assert outcome.status == 0
    assert list(read_pubtator(outcome.stdout.encode())) == ["2"]
    assert outcome.stderr.startswith("not stored: PMID 9\n")


def test_the_mentions_of_any_annotator_are_exported(stored: Comention) -> None:
    stored("annotate", "--annotator", "second")
    for _ in range(2):
        outcome = stored("export", "--format", "bioc-json", "--all", "--annotator", "second")
        assert outcome.document["documents"][1]["passages"][1]["annotations"][0]["infons"]["annotator"] == "second"
        stored("annotators", "promote", "second")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "pubtator"],
        ["--format", "pubtator", "--all", "--pmid", "1"],
        ["--format", "parquet", "--all"],
        ["--format", "parquet", "--all", "--output", "a.gz"],
        ["--format", "pubtator", "--pmids-file", "/nowhere"],
    ],
)
def test_usage_errors_exit_with_2(stored: Comention, arguments: list[str]) -> None:
    assert stored("export", *arguments).status == 2


def test_nothing_stored_or_nothing_annotated_is_said(comention: Comention, tmp_path: Path) -> None:
    empty = comention("export", "--format", "pubtator", "--all")
    assert (empty.status, empty.stderr) == (
        1, "comention: the database is empty: try `comention demo`, or `comention run FILE…`\n",
    )  # fmt: skip
    path = write_articles(tmp_path / "a.xml", [article_xml(1)])
    comention("ingest", "files", path)
    bare = comention("export", "--format", "pubtator", "--all")
    assert (bare.status, bare.stderr) == (1, "comention: no citation is annotated yet: run `comention annotate`\n")
    comention("annotate")
    comention("ingest", "files", write_articles(tmp_path / "b.xml", [article_xml(2)]))
    partly = comention("export", "--format", "pubtator", "--all")
    assert partly.status == 0
    assert "exported without mentions because lexicon has not read them yet: 1 of the citations" in partly.stderr


def test_an_export_that_fails_leaves_the_old_file_and_no_other(stored: Comention, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_bytes(b"old")
    stored("db", "psql", "--", "-c", "ALTER VIEW analysis.mention RENAME COLUMN concept TO other")
    outcome = stored("export", "--format", "bioc-json", "--all", "--output", target)
    assert outcome.status == 1
    assert target.read_bytes() == b"old"
    folder = tmp_path / "tables"
    stored("db", "psql", "--", "-c", "DROP FUNCTION analysis.promoted_annotator() CASCADE")
    assert stored("export", "--format", "parquet", "--all", "--output", folder).status == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json"]


def test_a_folder_with_files_in_it_is_not_written_over(stored: Comention, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    outcome = stored("export", "--format", "parquet", "--all", "--output", tmp_path / "full")
    assert outcome.status == 1
    assert outcome.stderr.strip().endswith("is there already: name another folder, or remove it first")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


@pytest.mark.parametrize("format_name", DOCUMENT_WRITERS)
def test_a_reader_that_goes_away_is_no_error(stored: Comention, stored_address: str, format_name: str) -> None:
    with subprocess.Popen(
        [*COMMAND, "export", "--format", format_name, "--all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=command_environment(COMENTION_DATABASE__URL=stored_address),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_a_signal_in_the_middle_leaves_no_file(stored: Comention, stored_address: str, tmp_path: Path) -> None:
    """The command waits for a table that this test has locked, with its file begun."""
    with psycopg.connect(stored_address) as connection:
        connection.execute("LOCK TABLE comention.sentence IN ACCESS EXCLUSIVE MODE")
        with subprocess.Popen(
            [*COMMAND, "export", "--format", "bioc-xml", "--all", "--output", tmp_path / "out.xml"],
            stderr=subprocess.PIPE,
            env=command_environment(COMENTION_DATABASE__URL=stored_address),
        ) as process:
            with psycopg.connect(stored_address, autocommit=True) as other:
                while not other.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
                    assert process.poll() is None
            assert [path.name for path in tmp_path.glob(".out.xml.*")] == [f".out.xml.{process.pid}.partial"]
            process.send_signal(signal.SIGTERM)
            connection.rollback()
            assert process.wait() == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("package", "format_name"), [("bioc", "bioc-json"), ("bioc", "bioc-xml"), ("pyarrow", "parquet")]
)
def test_a_package_that_is_missing_is_named(stored: Comention, tmp_path: Path, package: str, format_name: str) -> None:
    (tmp_path / "lib" / package).mkdir(parents=True)
    (tmp_path / "lib" / package / "__init__.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path / "lib"), command_environment()["PYTHONPATH"]])
    outcome = stored("export", "--format", format_name, "--all", "--output", tmp_path / "out", PYTHONPATH=path)
    assert outcome.status == 1
    assert outcome.stderr.strip().endswith(f"{package}, which is not installed: pip install 'comention[export]'")
    assert not (tmp_path / "out").exists()


def test_json_is_one_document(stored: Comention) -> None:
    document = json.loads(stored("export", "--format", "bioc-json", "--all").stdout)
    assert [one["id"] for one in document["documents"]] == ["1", "2", "3"]
