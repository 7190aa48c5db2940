"""`comention link`: terminologies from TSV and OBO files, and what they change."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from sqlalchemy import text

from comention.errors import ComentionError
from pipeline.stages.terminology import read_terminology
from storage.cooccurrence import find_drift
from storage.database import Database
from tests.analyst_database import fill
from tests.conftest import Comention

OBO = """format-version: 1.2

[Term]
id: X:1
name: tremor
synonym: "shaking" EXACT []
synonym: "twitch" RELATED []

[Term]
id: X:2
name: shaking
synonym: "tremor" EXACT []

[Term]
id: X:3
name: old
is_obsolete: true
"""


def write(path: Path, content: str) -> Path:
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


def links(path: Path, format_name: str | None = None) -> dict[str, tuple[str, str | None]]:
    return {one.name: (one.curie, one.preferred_name) for one in read_terminology(path, format_name).links}


def test_names_are_linked_and_the_counts_follow(comention: Comention, database: Database, tmp_path: Path) -> None:
    fill(database)
    path = write(
        tmp_path / "drugs.tsv",
        "# a terminology\nCURIE\tName\tPreferred name\nx:1\tLithium\tlithium salts\nx:1\tValproates\t\n\nx:2\tquinine\n",
    )
    first = comention("link", path, "--label", "drug", "--json")
    assert first.status == 0, first.stderr
    assert first.document == {
        "label": "Drug", "concepts": 2, "names": 3, "new": 1, "linked": 2, "unchanged": 0, "ambiguous": 0, "too_long": 0,
    }  # fmt: skip
    assert comention("link", path, "--label", "Drug").stdout == "3 names of 2 concepts: 0 new, 0 linked, 3 unchanged\n"
    [pair] = comention("top", "--drug", "valproate", "--condition", "tremor", "--json").document
    assert (pair["drug"], pair["citation_count"], pair["sentence_count"]) == ("x:1", 4, 5)
    with database.transaction() as connection:
        preferred = connection.execute(
            text("SELECT preferred_name FROM analysis.drug WHERE concept = 'x:1'")
        ).scalar_one()
        waiting = connection.execute(text("SELECT count(*) FROM comention.cooccurrence_delta")).scalar_one()
    assert (preferred, waiting) == ("lithium salts", 0)
    assert find_drift(database) == []


def test_a_file_with_a_wrong_line_is_named_and_loads_nothing(
    comention: Comention, database: Database, tmp_path: Path
) -> None:
    path = write(tmp_path / "drugs.tsv", "lithium\tx:1\nvalproate\nclozapine\tx:2\n\tx:3\n")
    outcome = comention("link", path, "--label", "Drug")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        f"comention: {path} cannot be loaded, and nothing was: line 2: it has no CURIE: name and CURIE stand between "
        "tabulators; line 4 is wrong too (2 in all)\n"
    )
    with database.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM comention.name")).scalar_one() == 0


def test_a_missing_file_or_label_is_a_usage_error(comention: Comention, tmp_path: Path) -> None:
    assert comention("link", tmp_path / "no.tsv", "--label", "Drug").status == 2
    assert comention("link", write(tmp_path / "a.tsv", "a\tx:1\n"), "--label", "Gene").status == 2


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_a_table_without_heading_is_name_curie_preferred_name(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "\ufeffname\tx:1\tNAME\r\nTNF-α\tx:2\r\n")
    assert links(path) == {"name": ("x:1", "NAME"), "TNF-α": ("x:2", None)}


def test_an_own_name_goes_before_a_synonym_and_the_first_before_the_next(tmp_path: Path) -> None:
    for path in (
        write(tmp_path / "a.obo", OBO),
        write(
            tmp_path / "a.tsv",
            "tremor\tX:1\ttremor\nshaking\tX:1\ttremor\nshaking\tX:2\tshaking\ntremor\tX:2\tshaking\n",
        ),
    ):
        assert links(path) == {"tremor": ("X:1", "tremor"), "shaking": ("X:2", "shaking")}
        assert read_terminology(path).ambiguous == ("shaking", "tremor")
    assert links(write(tmp_path / "b.tsv", "Chills\tX:1\nchill\tX:2\n")) == {"Chills": ("X:1", None)}


def test_the_format_may_be_said(tmp_path: Path) -> None:
    assert links(write(tmp_path / "terms.txt", OBO), "obo") == {
        "tremor": ("X:1", "tremor"),
        "shaking": ("X:2", "shaking"),
    }


def test_names_longer_than_any_mention_are_left_out(tmp_path: Path) -> None:
    terminology = read_terminology(write(tmp_path / "a.tsv", f"{'x' * 501}\tx:1\n{'y' * 500}\tx:2\n"))
    assert ([one.curie for one in terminology.links], terminology.concepts, terminology.too_long) == (["x:2"], 1, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "a\tnothing\n", r"a\.tsv .*line 1: 'nothing' is no CURIE"),
        ("a.tsv", "name\tcurie\n", "holds no name that could be linked"),
        ("a.tsv", "", "holds no name that could be linked"),
        ("a.tsv", "a\0\tx:1\n", "line 1: it holds a NUL character"),
        (
            "a.tsv",
            "\n".join(["a", "b", "c", "d", "e", "f", "g", "h"]),
            "lines 2, 3, 4, 5, 6, … are wrong too .8 in all",
        ),
        ("a.obo", "[Term]\nid: five\nname: a\n", r"a\.obo .*the id 'five' of the term 'a' is no CURIE"),
        ("a.obo", "a\tx:1\n", "is no OBO file"),
        ("a.tsv.gz", "", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"no gzip" if name.endswith(".gz") else content.encode())
    with pytest.raises(ComentionError, match=message):
        read_terminology(path)
