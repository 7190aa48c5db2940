from __future__ import annotations

import pytest
from comention_doses import load

from comention.settings import AnnotateSettings
from comention.testing import check_annotator

DOSES = [
    ("Valproate was raised from 500 to 1,000 mg/day.", ["500 to 1,000 mg/day"]),
    ("Cyclosporine 0.5-1 mg/kg/day, then 400 IU daily", ["0.5-1 mg/kg/day", "400 IU daily"]),
    ("5 mg twice daily or 10 µg kg-1", ["5 mg twice daily", "10 µg kg-1"]),
    ("a 50-mg tablet of 5-fluorouracil in 12 patients", ["50-mg"]),
    ("They got 2 × 10⁶ cells/kg.", ["2 × 10⁶ cells/kg"]),
    ("interleukin-2 and B12 in 1998", []),
]


@pytest.mark.parametrize(("sentence", "doses"), DOSES)
def test_doses_are_found(sentence: str, doses: list[str]):
    (annotation,) = load(AnnotateSettings()).annotate([sentence])
    assert [sentence[one.start_char : one.end_char] for one in annotation.mentions] == doses


def test_the_contract_is_kept():
    check_annotator(load(AnnotateSettings()), examples=[sentence for sentence, _ in DOSES])
