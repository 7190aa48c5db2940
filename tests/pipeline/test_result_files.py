"""What `top`, `evidence`, `trend` and `compare` show, and write as CSV and Parquet."""

from __future__ import annotations

import csv
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars
import pytest

from pipeline.terminal.show import sparkline
from storage.embedded import EmbeddedPostgres
from storage.queries import Evidence, Pair
from tests.builders import article_xml, write_articles
from tests.conftest import COMMAND, Comention, Outcome, command_environment, run_command


def in_year(article: str, year: str) -> str:
    """Move an article to another year of publication, or to none."""
    date = f"<PubDate><Year>{year}</Year></PubDate>" if year else "<PubDate></PubDate>"
    return article.replace("<PubDate><Year>2020</Year></PubDate>", date)


@pytest.fixture(scope="module")
def stored_address(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a database of five citations; the tests here only read it."""
    address = postgres.create_database("test_result_files", template=template)
    lithium = "Lithium caused tremor. Lithium, tremor; then nausea."
    path = write_articles(
        tmp_path_factory.mktemp("results") / "years.xml",
        [
            in_year(article_xml(1, lithium), "2001"),
            in_year(article_xml(2, "Lithium caused tremor."), "2001"),
            in_year(article_xml(3, "Lithium caused tremor."), "2004"),
            in_year(article_xml(4, "Lithium caused tremor."), ""),
            in_year(article_xml(5, 'Valproate caused "tremor", and rash; 😀 valproate.'), "2010"),
        ],
    )
    assert run_command("run", path, COMENTION_DATABASE__URL=address).status == 0
    yield address
    postgres.drop_database("test_result_files")


@pytest.fixture
def stored(stored_address: str) -> Comention:
    """The command line on that database."""

    def run(*arguments: str | Path, **settings: str) -> Outcome:
        return run_command(*arguments, **{"COMENTION_DATABASE__URL": stored_address, **settings})

    return run


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_trend_counts_every_year_from_the_first_to_the_last(stored: Comention) -> None:
    assert stored("trend", "LITHIUM", "tremors", "--json").document == {
        "drug": "lithium",
        "condition": "tremor",
        "years": [
            {"year": 2001, "citation_count": 2, "sentence_count": 3},
            {"year": 2002, "citation_count": 0, "sentence_count": 0},
            {"year": 2003, "citation_count": 0, "sentence_count": 0},
            {"year": 2004, "citation_count": 1, "sentence_count": 1},
            {"year": None, "citation_count": 1, "sentence_count": 1},
        ],
    }
    shown = stored("trend", "lithium", "tremor").stdout
    assert "2001 █  ▄ 2004" in shown
    assert "not stated" in shown


def test_trend_agrees_with_the_pair(stored: Comention) -> None:
    [pair] = stored("top", "--drug", "lithium", "--condition", "tremor", "--json").document
    years = rows_of(stored("trend", "lithium", "tremor", "--csv", "-").stdout)
    assert sum(int(row["citation_count"]) for row in years) == pair["citation_count"]
    assert sum(int(row["sentence_count"]) for row in years) == pair["sentence_count"]
    assert {(row["drug"], row["condition"]) for row in years} == {("lithium", "tremor")}
    assert years[-1]["year"] == ""


def test_compare_puts_counts_side_by_side_and_says_what_one_has_alone(stored: Comention) -> None:
    document = stored("compare", "LITHIUM", "valproate", "--json").document
    assert (document["first"], document["second"]) == ("lithium", "valproate")
    assert document["counts"] == {"shared": 1, "first": 1, "second": 1}
    top = {
        drug: {pair["condition"]: pair for pair in stored("top", "--drug", drug, "--json").document}
        for drug in ("lithium", "valproate")
    }
    for one in document["conditions"]:
        for side, drug in (("first", "lithium"), ("second", "valproate")):
            pair = top[drug].get(one["condition"])
            for measure in ("citation_count", "sentence_count"):
                assert one[f"{side}_{measure}"] == (pair[measure] if pair else 0)
            assert one[f"{side}_npmi"] == (pair["npmi"] if pair else None)
    assert [one["condition"] for one in document["conditions"]] == ["tremor", "nausea", "rash"]
    assert [
        one["condition"]
        for one in stored("compare", "lithium", "valproate", "--show", "second", "--json").document["conditions"]
    ] == ["rash"]
    shown = stored("compare", "lithium", "valproate")
    assert "1 conditions of both, 1 of lithium alone, 1 of valproate alone; 3 shown" in shown.stderr
    assert "tremor" in shown.stdout


def test_compare_leaves_a_rare_condition_out_only_where_it_is_rare_with_both(stored: Comention) -> None:
    [one] = stored("compare", "lithium", "valproate", "--min-sentences", "2", "--json").document["conditions"]
    assert (one["condition"], one["first_sentence_count"], one["second_sentence_count"]) == ("tremor", 5, 1)


@pytest.mark.parametrize(
    ("arguments", "columns"),
    [
        (["top"], list(Pair.__dataclass_fields__)),
        (["evidence", "valproate", "tremor"], ["drug", "condition", *Evidence.__dataclass_fields__]),
        (["trend", "lithium", "tremor"], ["drug", "condition", "year", "citation_count", "sentence_count"]),
        (
            ["compare", "lithium", "valproate"],
            ["first_drug", "second_drug", "condition", "first_citation_count", "second_citation_count",
             "first_sentence_count", "second_sentence_count", "first_npmi", "second_npmi"],
        ),
    ],
)  # fmt: skip
def test_csv_and_parquet_hold_the_same_rows_with_every_column(
    stored: Comention, tmp_path: Path, arguments: list[str], columns: list[str]
) -> None:
    outcome = stored(*arguments, "--csv", tmp_path / "a.csv", "--parquet", tmp_path / "a.parquet", COLUMNS="40")
    assert outcome.status == 0, outcome.stderr
    assert outcome.stdout == ""
    rows = rows_of((tmp_path / "a.csv").read_text(encoding="utf-8"))
    table = polars.read_parquet(tmp_path / "a.parquet")
    assert list(rows[0]) == table.columns == columns
    assert outcome.stderr.strip().endswith(f" written to {tmp_path / 'a.csv'} and {tmp_path / 'a.parquet'}")
    assert len(rows) == len(table) > 0
    for row, packed in zip(rows, table.to_dicts(), strict=True):
        for name, value in packed.items():
            if isinstance(value, list):
                value = ";".join(f"{start}-{end}" for start, end in value)
            assert row[name] == ("" if value is None else str(value)), name


def test_spans_of_evidence_cut_its_text(stored: Comention) -> None:
    [row] = rows_of(stored("evidence", "valproate", "tremor", "--csv", "-").stdout)
    found = [
        row["text"][int(start) : int(end)] for start, end in (span.split("-") for span in row["drug_spans"].split(";"))
    ]
    assert found == ["Valproate", "valproate"]


def test_an_empty_result_has_its_columns_and_the_reason(stored: Comention, tmp_path: Path) -> None:
    for arguments in (["top", "--drug", "lithum"], ["evidence", "lithium", "tremo"], ["trend", "lithum", "tremor"]):
        target = tmp_path / f"{arguments[0]}.parquet"
        outcome = stored(*arguments, "--csv", "-", "--parquet", target)
        assert outcome.status == 0
        assert "no pair with" in outcome.stderr
        assert len(outcome.stdout.splitlines()) == 1
        table = polars.read_parquet(target)
        assert (len(table), ",".join(table.columns)) == (0, outcome.stdout.strip())


def test_a_name_that_is_not_known_gets_the_similar_ones(stored: Comention) -> None:
    for arguments in (["trend", "lithiumx", "tremor"], ["compare", "valproate", "lithiumx"]):
        outcome = stored(*arguments)
        assert outcome.status == 0
        assert "drugs with a similar name: lithium" in outcome.stderr


def test_two_results_on_stdout_are_refused(stored: Comention) -> None:
    for arguments in (["top"], ["evidence", "lithium", "tremor"], ["trend", "lithium", "tremor"]):
        assert stored(*arguments, "--json", "--csv", "-").status == 2


def test_a_file_that_cannot_be_written_is_named(stored: Comention, tmp_path: Path) -> None:
    for option in ("--csv", "--parquet"):
        outcome = stored("top", option, "/nowhere/a")
        assert (outcome.status, outcome.stderr.strip()) == (
            1,
            "comention: /nowhere/a cannot be written: No such file or directory; name another place, or make room",
        )
        full = stored("top", option, "/dev/full")
        assert full.status == 1
        assert "comention: /dev/full cannot be written: " in full.stderr
        assert len(full.stderr.strip().splitlines()) == 1


def test_a_full_stdout_is_said_in_one_sentence(stored_address: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "top", "--csv", "-"], stdout=full, stderr=subprocess.PIPE, check=False,
            env=command_environment(COMENTION_DATABASE__URL=stored_address),
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, b"comention: stdout cannot be written: No space left on device\n")


def test_csv_of_a_reader_that_goes_away_is_no_error(stored_address: str) -> None:
    with subprocess.Popen(
        [*COMMAND, "top", "--csv", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=command_environment(COMENTION_DATABASE__URL=stored_address),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_parquet_without_its_package_is_one_sentence(stored: Comention, tmp_path: Path) -> None:
    (tmp_path / "lib" / "pyarrow").mkdir(parents=True)
    (tmp_path / "lib" / "pyarrow" / "__init__.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path / "lib"), command_environment()["PYTHONPATH"]])
    outcome = stored("top", "--parquet", tmp_path / "a.parquet", PYTHONPATH=path)
    assert outcome.status == 1
    assert outcome.stderr.strip().endswith("pyarrow, which is not installed: pip install 'comention[export]'")
    assert not (tmp_path / "a.parquet").exists()


def test_a_sparkline_shows_one_and_none_apart() -> None:
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "  "
    assert sparkline([0, 1, 1000]) == " ▁█"
    assert sparkline(range(9)) == " ▁▂▃▄▅▆▇█"
