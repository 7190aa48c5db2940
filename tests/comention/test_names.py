from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comention.names import normalise_name


@pytest.mark.parametrize(
    ("surface", "name"),
    [
        ("Methotrexate-Induced  PNEUMONITIS", "methotrexate-induced pneumonitis"),
        ("methotrexate\u2010induced pneumonitis", "methotrexate-induced pneumonitis"),
        ("TNF-α", "tnf-alpha"),
        ("TNF - alpha", "tnf-alpha"),
        ("µ-opioid", "mu-opioid"),
        ("seizures", "seizure"),
        ("arrhythmias", "arrhythmia"),
        ("neuropathies", "neuropathy"),
        ("rashes", "rash"),
        ("metastases", "metastasis"),
        ("thromboses", "thrombosis"),
        ("ACE inhibitors", "ace inhibitor"),
        ("Alzheimer\u2019s disease", "alzheimer disease"),
        ("Parkinson's diseases", "parkinson disease"),
        ("diabetes", "diabetes"),
        ("hepatitis", "hepatitis"),
        ("Torsades de pointes", "torsades de pointes"),
        ("pancreas", "pancreas"),
        ("CNS", "cns"),
        ("Lennox\u2013Gastaut syndrome", "lennox-gastaut syndrome"),
        ("ﬁbrosis", "fibrosis"),
        ("liver\u00a0injury", "liver injury"),
        ("...", "..."),
    ],
)
def test_spellings_of_one_thing_meet_in_one_name(surface: str, name: str) -> None:
    assert normalise_name(surface) == name


@given(st.text(min_size=1))
def test_a_name_is_its_own_name(surface: str) -> None:
    name = normalise_name(surface)
    assert normalise_name(name) == name


@given(st.text(min_size=1).filter(lambda text: bool(text.strip())))
def test_a_visible_surface_form_has_a_name_without_double_or_outer_space(surface: str) -> None:
    name = normalise_name(surface)
    assert name
    assert name == " ".join(name.split())


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz -αβ", min_size=1).filter(lambda text: bool(text.strip())))
def test_case_does_not_matter(surface: str) -> None:
    assert normalise_name(surface.upper()) == normalise_name(surface)
