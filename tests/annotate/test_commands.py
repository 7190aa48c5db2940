"""The commands ``train``, ``evaluate`` and ``annotators``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli import main

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "--corpus", "nowhere.txt"), "nowhere.txt does not exist"),
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
    assert status("train", "--recipe", "compact", "--out", "out", "--corpora", "nowhere") == 2


def test_annotators_are_listed_shown_and_tried(capsys: pytest.CaptureFixture[str]):
    assert status("annotators", "list", "--json") == 0
    assert "compact" in [annotator["name"] for annotator in json.loads(capsys.readouterr().out)]
    assert status("annotators", "info", "compact", "--json") == 0
    assert json.loads(capsys.readouterr().out)["model"] == "bundled"
    assert status("annotators", "try", "compact", "Aspirin caused a rash.", "--json") == 0
    mentions = json.loads(capsys.readouterr().out)["mentions"]
    assert [(mention["start_char"], mention["end_char"]) for mention in mentions] == [(0, 7), (17, 21)]
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
