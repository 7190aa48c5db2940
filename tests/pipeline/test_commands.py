"""The command line as users run it: in a process of its own, on a real database."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from ingest.files import source_digest
from ingest.samples import sample_files
from pipeline.cli import COMMANDS
from storage.database import Database
from storage.runs import open_run
from tests.builders import article_set, article_xml, write_articles
from tests.conftest import COMMAND, ROOT, Comention, command_environment, run_command
from tests.plugins.lexicon_annotator import POISON


@pytest.fixture
def two_pairs(tmp_path: Path) -> Path:
    return write_articles(
        tmp_path / "pairs.xml",
        [
            article_xml(1, "Clozapine caused agranulocytosis. Lithium was not given."),
            article_xml(2, "Clozapine caused agranulocytosis. Lithium caused tremor."),
        ],
    )


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    outcome = run_command("--help")
    assert outcome.status == 0
    for name in COMMANDS:
        assert f"\n  {name} " in outcome.stdout
    program = (
        "import sys; from pipeline.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'sqlalchemy', 'psycopg', 'celery', 'Bio', 'lxml', 'rich', 'pydantic', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=command_environment()
    )
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    assert run_command(name, "--help").status == 0


def test_run_ingests_annotates_and_shows(comention: Comention, two_pairs: Path) -> None:
    outcome = comention("run", two_pairs)
    assert outcome.status == 0, outcome.stderr
    assert "2 records read = 2 stored or deleted + 0 explained" in outcome.stderr
    assert "agranulocytosis" in outcome.stdout
    document = comention("run", two_pairs, "--json").document
    assert document["sources"][0]["already_read"] is True
    assert document["pairs"][0]["drug"] == "clozapine"
    assert document["annotation"]["done"] == 0


def test_top_and_evidence_find_names_however_they_are_spelt(comention: Comention, two_pairs: Path) -> None:
    comention("run", two_pairs)
    top = comention("top", "--drug", "CLOZAPINE", "--json").document
    assert [(pair["condition"], pair["citation_count"]) for pair in top] == [("agranulocytosis", 2)]
    assert [pair["drug"] for pair in comention("top", "--condition", "Tremors", "--json").document] == ["lithium"]
    evidence = comention("evidence", "Clozapine", "agranulocytosis", "--json").document
    assert [item["pmid"] for item in evidence["evidence"]] == [2, 1]
    item = evidence["evidence"][0]
    assert [item["text"][start:end] for start, end in item["drug_spans"]] == ["Clozapine"]
    assert "PMID 2" in comention("evidence", "clozapine", "agranulocytosis").stdout


def test_a_question_without_answer_says_why_and_suggests(comention: Comention, two_pairs: Path) -> None:
    assert "the database is empty" in comention("top").stderr
    comention("ingest", "files", two_pairs)
    assert "run `comention annotate`" in comention("top").stderr
    comention("annotate")
    outcome = comention("top", "--drug", "clozapin")
    assert (outcome.status, outcome.stdout) == (0, "")
    assert "clozapine" in outcome.stderr
    assert comention("top", "--drug", "clozapin", "--json").document == []


def test_status_says_what_is_stored_and_owed(comention: Comention, two_pairs: Path) -> None:
    assert "the database is empty" in comention("status").stdout
    comention("ingest", "files", two_pairs)
    comention("annotate")
    document = comention("status", "--json").document
    assert (document["citations"], document["read"]) == (2, 2)
    assert document["annotators"][0]["done"] == 2
    assert "lexicon 1 (promoted)" in comention("status").stdout


def test_verify_passes_and_fails_where_a_count_is_wrong(comention: Comention, two_pairs: Path) -> None:
    comention("run", two_pairs)
    assert comention("verify").status == 0
    comention("db", "psql", "--", "-c", "UPDATE comention.cooccurrence_total SET citation_count = citation_count + 1")
    outcome = comention("verify", "--json")
    assert outcome.status == 1
    assert outcome.document["drift"]


def test_statements_run_without_psql(comention: Comention, two_pairs: Path, tmp_path: Path) -> None:
    comention("ingest", "files", two_pairs)
    nowhere = {"PATH": str(tmp_path)}
    statement = "SELECT pmid, '%', ':x', NULL, true FROM analysis.citation ORDER BY 1"
    outcome = comention("db", "psql", "--", "-Atc", statement, **nowhere)
    assert outcome.stdout == "1|%|:x||t\n2|%|:x||t\n"
    assert "pmid" in comention("db", "psql", "--", "-c", statement, **nowhere).stdout
    for wrong in (["-c", "SELEC 1"], ["-l"], []):
        refused = comention("db", "psql", "--", *wrong, **nowhere)
        assert refused.status == 1
        assert len(refused.stderr.splitlines()) == 1


def test_psql_gets_its_arguments_and_the_address_without_the_password(
    comention: Comention, tmp_path: Path, database_address: str
) -> None:
    program = tmp_path / "psql"
    program.write_text('#!/bin/sh\necho "$PGPASSWORD"\nprintf \'%s\\n\' "$@"\nexit 3\n')
    program.chmod(0o755)
    address = database_address.replace("postgres@", "postgres:hunter2@") + "&options=-cstatement_timeout%3D5000"
    outcome = comention(
        "db", "psql", "--", "-c", "SELECT 1", COMENTION_DATABASE__URL=address, PATH=f"{tmp_path}:{os.environ['PATH']}"
    )
    password, option, url, *rest = outcome.stdout.splitlines()
    assert (outcome.status, password, option, rest) == (3, "hunter2", "--dbname", ["-c", "SELECT 1"])
    assert "hunter2" not in url
    assert "statement_timeout" in url
    assert "application_name" not in url


def test_bad_files_are_named_and_the_good_ones_stored(comention: Comention, two_pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.xml").write_bytes(b"")
    (tmp_path / "page.xml").write_bytes(b"<html><p>No such file</p></html>")
    cut = tmp_path / "cut.xml"
    cut.write_bytes(article_set([article_xml(7), article_xml(8)])[:-120])
    last = write_articles(tmp_path / "last.xml", [article_xml(9)])
    wrong = [tmp_path / "missing.xml", tmp_path, tmp_path / "empty.xml", tmp_path / "page.xml", cut]
    outcome = comention("ingest", "files", *wrong, two_pairs, last, "--json")
    assert outcome.status == 1
    assert "Traceback" not in outcome.stderr
    sources = outcome.document["sources"]
    assert [bool(source["failure"]) for source in sources] == [True] * 5 + [False] * 2
    for source, path in zip(sources, wrong, strict=False):
        assert str(path) in source["failure"]
        assert source["failure"].count("\n") == 0
    assert comention("db", "psql", "--", "-Atc", "SELECT pmid FROM analysis.citation ORDER BY 1").stdout.split() == [
        "1",
        "2",
        "7",
        "9",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run"],
        ["run", "--query", "x", "--pmids", "1"],
        ["run", "--pmids", "1,abc"],
        ["run", "--pmids", "0"],
        ["run", "--pmids", "99999999999"],
        ["top", "--limit", "0"],
        ["top", "--limit", "99999999999999999999"],
        ["evidence", "clozapine"],
        ["ingest", "files"],
    ],
)
def test_usage_errors_exit_with_2(arguments: list[str]) -> None:
    outcome = run_command(*arguments)
    assert outcome.status == 2
    assert "Error" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://nobody:hunter2@127.0.0.1:9/none", "cannot be reached"),
        ("mysql://nobody:hunter2@host/none", "only postgresql://"),
        ("what is this", "is not an address"),
        ("postgresql://nobody:hunter2@host:abc/none", "is not an address"),
    ],
)
def test_a_database_that_cannot_be_used_gets_one_sentence_without_the_password(address: str, said: str) -> None:
    outcome = run_command("status", COMENTION_DATABASE__URL=address)
    assert outcome.status == 1
    assert said in outcome.stderr
    assert "hunter2" not in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_a_missing_database_says_how_to_create_it(database_address: str) -> None:
    address = database_address.replace("/test_", "/missing_")
    outcome = run_command("status", COMENTION_DATABASE__URL=address)
    assert outcome.status == 1
    assert "createdb missing_" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_an_annotator_that_does_not_exist_or_does_not_load_is_named(comention: Comention, two_pairs: Path) -> None:
    comention("ingest", "files", two_pairs)
    unknown = comention("annotate", "--annotator", "nonsense")
    assert unknown.status == 1
    assert "nonsense" in unknown.stderr
    assert "lexicon" in unknown.stderr
    broken = comention("annotate", "--annotator", "broken")
    assert (broken.status, broken.stderr.strip()) == (
        1,
        "comention: the broken annotator cannot be loaded: it is broken",
    )


def test_a_full_disk_is_said_in_one_sentence(comention: Comention, two_pairs: Path) -> None:
    comention(
        "db",
        "psql",
        "--",
        "-c",
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
        "'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$",
        "-c",
        "CREATE TRIGGER full_disk BEFORE INSERT ON comention.sentence EXECUTE FUNCTION full_disk()",
    )
    outcome = comention("run", two_pairs)
    assert outcome.status == 1
    assert "has no room left on its disk" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    comention("db", "psql", "--", "-c", "DROP TRIGGER full_disk ON comention.sentence")
    assert comention("run", two_pairs).status == 0


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_reader_that_goes_away_is_no_error(
    comention: Comention, two_pairs: Path, database_address: str, option: list[str]
) -> None:
    comention("run", two_pairs)
    with subprocess.Popen(
        [*COMMAND, "top", *option],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=command_environment(COMENTION_DATABASE__URL=database_address),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_hostile_text_cannot_steer_the_terminal(comention: Comention, tmp_path: Path) -> None:
    path = write_articles(
        tmp_path / "a.xml",
        [article_xml(1, "Clozapine \u009b31m caused \u202e agranulocytosis [bold]x[/bold].", title="[red]Title[/red]")],
    )
    comention("run", path)
    shown = comention("evidence", "clozapine", "agranulocytosis").stdout
    assert "[bold]x[/bold]" in shown
    assert "[red]Title[/red]" in shown
    assert "\u009b" not in shown
    assert "\u202e" not in shown


def test_the_modules_that_run_are_those_of_this_project(tmp_path: Path) -> None:
    """Flat package names are ours from whichever folder a command is typed in."""
    program = (
        "import comention, ingest, annotate, storage, pipeline, dashboard, migrations\n"
        "for module in (comention, ingest, annotate, storage, pipeline, dashboard, migrations): print(module.__file__)"
    )
    (tmp_path / "unrelated.txt").write_text("")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert Path(line).is_relative_to(ROOT), line


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (article_xml(None), "no PMID, refused: the record has no PMID"),
        (article_xml(2, "A\x00B"), "PMID 2, refused: the record holds a NUL character"),
        (article_xml(2, "p < 0.05"), "PMID 2, refused:"),
        (article_xml(2, "&boom;"), "PMID 2, refused:"),
    ],
)
def test_a_record_that_cannot_be_used_is_named_and_the_status_is_1(
    comention: Comention, tmp_path: Path, bad: str, said: str
) -> None:
    path = write_articles(tmp_path / "a.xml", [article_xml(1), bad, article_xml(3)])
    outcome = comention("ingest", "files", path)
    assert outcome.status == 1
    assert said in outcome.stderr
    assert "1 record refused, all others stored: correct" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert comention("db", "psql", "--", "-Atc", "SELECT pmid FROM analysis.citation ORDER BY 1").stdout.split() == [
        "1",
        "3",
    ]


def test_a_file_that_is_busy_does_not_keep_the_others_out(
    comention: Comention, database: Database, two_pairs: Path, tmp_path: Path
) -> None:
    other = write_articles(tmp_path / "other.xml", [article_xml(9)])
    key = f"file:{source_digest(two_pairs)}"
    with open_run(database, kind="file", source="pairs.xml", source_key=key):
        outcome = comention("ingest", "files", two_pairs, other, "--json")
    assert outcome.status == 1
    assert "another process is bringing in pairs.xml" in outcome.document["sources"][0]["failure"]
    assert outcome.document["sources"][1]["new"] == 1


def test_a_file_whose_name_is_not_utf_8_is_read_like_others(comention: Comention, two_pairs: Path) -> None:
    strange = Path(os.fsdecode(bytes(two_pairs.parent) + b"/caf\xe9.xml"))
    strange.write_bytes(two_pairs.read_bytes())
    outcome = comention("ingest", "files", strange, "--json")
    assert outcome.status == 0, outcome.stderr
    assert outcome.document["sources"][0]["new"] == 2
    assert "caf\ufffd.xml" in outcome.document["sources"][0]["source"]
    assert comention("ingest", "files", strange.with_name("none\udce9.xml")).status == 2
    assert comention("top", "--drug", "caf\udce9").status == 2


def test_a_misspelt_table_of_the_settings_file_is_refused(
    comention: Comention, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "comention.toml").write_text('[databse]\nurl = "postgresql://host/name"\n')
    monkeypatch.chdir(tmp_path)
    outcome = comention("status")
    assert outcome.status == 1
    assert "DATABSE" in outcome.stderr


def test_a_citation_that_failed_too_often_is_said_to_be_given_up(comention: Comention, tmp_path: Path) -> None:
    path = write_articles(tmp_path / "a.xml", [article_xml(1, f"This is {POISON}."), article_xml(2)])
    comention("ingest", "files", path)
    for _ in range(3):
        assert comention("annotate").status == 1
    outcome = comention("annotate")
    assert outcome.status == 0
    assert "nothing to annotate; 1 failed too often" in outcome.stderr
    assert "every citation is done" not in outcome.stderr


def test_an_annotator_that_is_not_promoted_says_so_and_can_be(comention: Comention, two_pairs: Path) -> None:
    comention("run", two_pairs)
    outcome = comention("annotate", "--annotator", "second")
    assert outcome.status == 0
    assert "the views still show lexicon" in outcome.stderr
    assert "`comention annotators promote second`" in outcome.stderr
    assert comention("top", "--json").document[0]["drug"] == "clozapine"
    assert comention("annotators", "promote", "nonsense").status == 1
    assert comention("annotators", "promote", "second").status == 0
    assert comention("db", "psql", "--", "-Atc", "SELECT DISTINCT annotator FROM analysis.mention").stdout == "second\n"
    assert "second 1 (promoted)" in comention("status").stdout


def test_a_deletion_that_is_all_there_is_leaves_no_delta_behind(
    comention: Comention, two_pairs: Path, tmp_path: Path
) -> None:
    comention("run", two_pairs)
    deletion = write_articles(tmp_path / "d.xml", ["<DeleteCitation><PMID>1</PMID></DeleteCitation>"])
    comention("run", deletion)
    count = "SELECT count(*) FROM comention.cooccurrence_delta"
    assert comention("db", "psql", "--", "-Atc", count).stdout == "0\n"
    assert comention("top", "--drug", "clozapine", "--json").document[0]["citation_count"] == 1


def test_an_argument_longer_than_any_file_name_is_an_argument(comention: Comention) -> None:
    statement = "SELECT " + " + ".join(["1"] * 2000)
    assert comention("db", "psql", "--", "-Atc", statement).stdout == "2000\n"


def test_a_source_that_breaks_off_is_not_said_to_be_stored_whole(comention: Comention, tmp_path: Path) -> None:
    cut = tmp_path / "cut.xml"
    cut.write_bytes(article_set([article_xml(7), article_xml(8)])[:-120])
    outcome = comention("ingest", "files", cut)
    assert outcome.status == 1
    assert "1 of 1 source could not be read to the end" in outcome.stderr
    assert "all others stored" not in outcome.stderr


def test_a_run_that_reads_nothing_shows_no_older_pairs(comention: Comention, two_pairs: Path, tmp_path: Path) -> None:
    comention("run", two_pairs)
    outcome = comention("run", tmp_path / "missing.xml")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert "does not exist" in outcome.stderr


def test_an_annotator_that_is_misspelt_is_refused_before_anything_is_read(
    comention: Comention, two_pairs: Path
) -> None:
    outcome = comention("run", "--annotator", "lexikon", two_pairs)
    assert outcome.status == 1
    assert "no annotator 'lexikon'" in outcome.stderr
    assert comention("status", "--json").document["citations"] == 0


def test_what_was_left_out_is_settled_when_a_corrected_file_comes(comention: Comention, tmp_path: Path) -> None:
    path = write_articles(tmp_path / "a.xml", [article_xml(1), article_xml(2, "p < 0.05"), article_xml(None)])
    assert comention("ingest", "files", path).status == 1
    assert comention("status", "--json").document["exceptions"] == {"refused": 2}
    write_articles(path, [article_xml(1), article_xml(2), article_xml(3)])
    assert comention("ingest", "files", path).status == 0
    assert comention("status", "--json").document["exceptions"] == {}
    assert comention("status", "--json").document["runs"] == {"done": 1}


@pytest.mark.parametrize("columns", ["40", "50", "60", "80", "200"])
def test_no_figure_is_cut_on_a_terminal_of_few_columns(comention: Comention, two_pairs: Path, columns: str) -> None:
    comention("run", two_pairs)
    shown = comention("top", COLUMNS=columns).stdout
    assert max(map(len, shown.splitlines())) <= int(columns)
    assert "citations" in shown
    if int(columns) >= 48:
        assert "NPMI" in shown
        assert re.search(r"\d\.\d\d", shown)
    assert ("years" in shown) == (int(columns) >= 78)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_command_with_a_sentence_and_its_status(
    comention: Comention, database_address: str, tmp_path: Path, number: signal.Signals
) -> None:
    articles = (article_xml(pmid, "Clozapine caused agranulocytosis. " * 20) for pmid in range(1, 6000))
    path = write_articles(tmp_path / "long.xml", articles)
    if signal.getsignal(number) is signal.SIG_IGN:
        # Under nohup, or in the background of a script, the command would inherit that it is to ignore the signal.
        signal.signal(number, signal.SIG_DFL)
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'comention.sentence'::regclass"
    with (
        psycopg.connect(database_address) as holder,
        subprocess.Popen(
            [*COMMAND, "ingest", "files", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=command_environment(COMENTION_DATABASE__URL=database_address),
        ) as process,
    ):
        # Nobody can store a sentence: the command is stopped in the midst of its work, however fast it is.
        holder.execute("LOCK TABLE comention.sentence IN EXCLUSIVE MODE")
        while process.poll() is None and holder.execute(waiting).fetchone() is None:
            pass
        process.send_signal(number)
        holder.rollback()
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 128 + number
    assert said.strip() == f"stopped by {number.name}; the same command goes on where it was"
    assert comention("ingest", "files", path).status == 0
    assert comention("status", "--json").document["citations"] == 5999


def test_a_terminal_of_another_encoding_is_no_defect(comention: Comention, two_pairs: Path) -> None:
    comention("run", two_pairs)
    outcome = comention("top", PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert outcome.status == 0, outcome.stderr
    assert "clozapine" in outcome.stdout


def test_the_sample_among_real_citations_is_pointed_at(comention: Comention, two_pairs: Path) -> None:
    assert "demo's sample" not in comention("run", two_pairs).stderr
    sample = sample_files()[-1]
    assert "citations of the demo's sample are counted too" in comention("run", sample).stderr
    assert "comention demo --remove" in comention("status").stdout
