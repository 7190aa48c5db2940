"""The commands ``train``, ``evaluate`` and ``annotators``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipeline.cli import main
from tests.conftest import Comention

PUBTATOR = """1|t|Clozapine caused agranulocytosis.
1|a|Clozapine was stopped. The fever resolved.
1\t0\t9\tClozapine\tChemical\tD1
1\t17\t32\tagranulocytosis\tDisease\tD2
1\t34\t43\tClozapine\tChemical\tD1
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "small.txt"
    path.write_text(PUBTATOR, encoding="utf-8")
    return path


def status(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def test_evaluate_prints_one_json_document(corpus: Path, capsys: pytest.CaptureFixture[str]):
    assert status("evaluate", "--corpus", corpus, "--json", "--threads", "1") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["micro"]["support"] == 3
    assert report["micro"]["recall"] == 1.0
    assert set(report["labels"]) == {"Drug", "Condition"}
    assert (report["annotator"], report["corpus"]) == ("compact", "small")


def test_evaluate_prints_a_table(corpus: Path, random_folder: Path, capsys: pytest.CaptureFixture[str]):
    assert status("evaluate", "--corpus", corpus, "--annotator", random_folder) == 0
    assert "Condition" in capsys.readouterr().out


ADE = """7|Clozapine caused fever.|fever|17|22|Clozapine|0|9
8|Fever after quinine.|Fever|0|5|quinine|12|19
9|Quinine caused a rash.|rash|17|21|Quinine|0|7
"""


@pytest.fixture
def ade(tmp_path: Path) -> Path:
    (tmp_path / "DRUG-AE.rel").write_text(ADE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("head", "scored", "annotator"),
    [("auto", "ade", "compact"), ("default", None, "compact"), ("cdr", "cdr", "compact")],
)
def test_the_head_of_the_corpus_s_guideline_is_scored_unless_told_otherwise(
    ade: Path, capsys: pytest.CaptureFixture[str], head: str, scored: str | None, annotator: str
):
    assert status("evaluate", "--corpus", ade, "--annotator", "compact", "--head", head, "--json") == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert (report["head"], report["annotator"]) == (scored, annotator)
    assert ("the head ade is scored" in captured.err) == (head == "auto")


def test_a_head_in_the_name_is_taken(ade: Path, capsys: pytest.CaptureFixture[str]):
    assert status("evaluate", "--corpus", ade, "--annotator", "compact:cdr", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["head"], report["annotator"]) == (None, "compact:cdr")


def test_a_part_of_a_corpus_is_scored(ade: Path, capsys: pytest.CaptureFixture[str]):
    supports = []
    for fold in range(3):
        assert status("evaluate", "--corpus", f"{ade}?fold={fold}/3&part=test", "--json") == 0
        report = json.loads(capsys.readouterr().out)
        supports.append(report["micro"]["support"])
        assert report["corpus"] == f"ade?fold={fold}/3&part=test"
    assert supports == [2, 2, 2]


def test_several_annotators_and_corpora_are_scored_and_compared(
    ade: Path, corpus: Path, random_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    report, errors = tmp_path / "report.json", tmp_path / "errors.tsv"
    given = ("--corpus", ade, "--corpus", corpus, "--annotator", "compact", "--annotator", random_folder)
    assert status("evaluate", *given, "--report", report, "--errors", errors) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("95 % of F1") == 4
    assert "compact:ade less random on ade: F1 +" in shown
    document = json.loads(report.read_text())
    assert [(row["corpus"], row["annotator"]) for row in document["evaluations"]] == [
        ("ade", "compact"),
        ("ade", "random"),
        ("small", "compact"),
        ("small", "random"),
    ]
    for row in document["evaluations"]:
        low, high = row["intervals"]["micro"]["f1"]
        assert 0 <= low <= row["micro"]["f1"] <= high <= 1
    assert [row["corpus"] for row in document["differences"]] == ["ade", "small"]
    header, *rows = [line.split("\t") for line in errors.read_text().splitlines()]
    assert rows
    assert {len(row) for row in rows} == {len(header)}
    missed = sum(row["micro"]["support"] * (1 - row["micro"]["recall"]) for row in document["evaluations"])
    assert sum(bool(row[header.index("gold_label")]) for row in rows) == round(missed)


def test_labels_are_mapped(
    tmp_path: Path, lexicon_folder: Callable[[Mapping[str, str]], Path], capsys: pytest.CaptureFixture[str]
):
    corpus = tmp_path / "chemicals.tsv"
    corpus.write_text("Aspirin\tB-CHEBI\nhelps\tO\n", encoding="utf-8")
    given = ("evaluate", "--corpus", corpus, "--annotator", lexicon_folder({"aspirin": "B-Drug"}))
    assert status(*given) == 1
    assert "rename labels with --map FROM=TO" in capsys.readouterr().err
    assert status(*given, "--map", "Drug=Chemical", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["labels"]["Chemical"]["f1"] == report["seqeval"]["micro"]["f1"] == 1.0
    assert status(*given, "--map", "Gene=Chemical") == 1
    assert "has no label 'Gene'; it has Drug, Condition" in capsys.readouterr().err
    assert status(*given, "--map", "Drug=Gene") == 1
    assert "chemicals has no label 'Gene'; it has Chemical" in capsys.readouterr().err


def test_a_plugin_is_scored_as_it_comes(corpus: Path, comention: Comention):
    done = comention("evaluate", "--corpus", corpus, "--annotator", "lexicon", "--json")
    assert done.status == 0, done.stderr
    assert (done.document["annotator"], done.document["head"]) == ("lexicon", None)
    refused = comention("evaluate", "--corpus", corpus, "--annotator", "lexicon", "--head", "cdr")
    assert refused.status == 1
    assert "'lexicon' has no head 'cdr'; it has no heads to choose from" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "--corpus", "nowhere.txt"), "nowhere.txt does not exist"),
        (("evaluate", "--corpus", "nowhere?fold=3"), "fold makes two parts"),
        (("annotators", "info", "gigantic"), "no annotator 'gigantic'"),
        (("train", "--recipe", "gigantic", "--out", "out", "--corpora", "."), "no recipe 'gigantic'"),
    ],
)
def test_a_failure_is_one_sentence_and_status_1(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
):
    assert status(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_a_usage_error_is_status_2(capsys: pytest.CaptureFixture[str]):
    assert status("evaluate") == 2
    assert status("evaluate", "--corpus", "x", "--map", "Gene") == 2
    assert status("evaluate", "--corpus", "x", "--report", "no/such/folder/report.json") == 2
    assert status("train", "--recipe", "compact", "--out", "out", "--corpora", "nowhere") == 2


def test_info_says_how_it_computes_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COMENTION_ANNOTATE__PRECISION", "fp32")
    monkeypatch.setenv("COMENTION_ANNOTATE__THREADS", "1")
    assert status("annotators", "info", "compact", "--json") == 0
    assert json.loads(capsys.readouterr().out)["computes"] == "fp32 on cpu, 1 thread"


def test_annotators_are_listed_shown_and_tried(capsys: pytest.CaptureFixture[str]):
    assert status("annotators", "list", "--json") == 0
    assert "compact" in [annotator["name"] for annotator in json.loads(capsys.readouterr().out)]
    assert status("annotators", "info", "compact", "--json") == 0
    assert json.loads(capsys.readouterr().out)["model"] == "bundled"
    assert status("annotators", "try", "compact", "Aspirin caused a rash.", "--json") == 0
    mentions = json.loads(capsys.readouterr().out)["mentions"]
    found = {(mention["start_char"], mention["end_char"], mention["label"]) for mention in mentions}
    assert found >= {(0, 7, "Drug"), (17, 21, "Condition")}
    for table in (
        ["annotators", "list"],
        ["annotators", "info", "compact"],
        ["annotators", "try", "compact", "Aspirin."],
    ):
        assert status(*table) == 0
        assert capsys.readouterr().out.strip()


def test_check_says_what_holds(random_folder: Path, capsys: pytest.CaptureFixture[str]):
    assert status("annotators", "check", random_folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert all(line.startswith("holds ") for line in lines)


def test_a_label_map_renames_what_evaluate_compares(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    labels = tmp_path / "map.toml"
    labels.write_text('[labels]\nDrug = "Condition"\nCondition = "Drug"\n')
    assert status("evaluate", "--corpus", corpus, "--labels", labels, "--json", "--threads", "1") == 0
    assert json.loads(capsys.readouterr().out)["micro"]["recall"] == 0.0
    labels.write_text('[labels]\nDrugs = "Condition"\n')
    assert status("evaluate", "--corpus", corpus, "--labels", labels) == 1
    assert "names the label Drugs, but the labels of" in capsys.readouterr().err


def test_a_label_map_of_the_settings_does_not_go_with_another_annotator(
    random_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "map.toml").write_text('[labels]\nDrug = "Substance"\n')
    monkeypatch.setenv("COMENTION_ANNOTATE__LABELS", str(tmp_path / "map.toml"))
    assert status("annotators", "info", random_folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["Drug", "Condition"]
    monkeypatch.setenv("COMENTION_ANNOTATE__ANNOTATOR", str(random_folder))
    assert status("annotators", "info", random_folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["Substance", "Condition"]


def test_train_writes_a_folder_and_scores_it(
    random_folder: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        'name = "small"\ndecides = "a"\nepochs = 2\nmax_pieces = 64\n'
        '[[heads]]\nname = "a"\nlabels = ["Drug", "Condition"]\ncorpora = ["small.txt"]\n'
    )
    out = tmp_path / "out"
    given = ("--corpora", tmp_path, "--base", random_folder, "--test", corpus, "--threads", "1")
    assert status("train", "--recipe", recipe, "--out", out, *given, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["epoch_losses"]) == 2
    assert report["evaluations"][0]["corpus"] == "small"
    assert status("train", "--recipe", recipe, "--out", out, *given) == 0
    assert "f1" in capsys.readouterr().err
    nothing = ("--corpora", tmp_path, "--base", random_folder, "--hold-out", corpus, "--threads", "1")
    assert status("train", "--recipe", recipe, "--out", out, *nothing) == 1
    assert "nothing is left to train on" in capsys.readouterr().err
