from __future__ import annotations

import dataclasses

import pytest

from comention.types import Mention
from tests.builders import citation


def test_title_and_abstract_are_slices_of_the_canonical_text() -> None:
    record = citation(1, ["One.", "Two."], title="Title.").citation
    assert (record.text, record.title, record.abstract) == ("Title.\nOne. Two.", "Title.", "One. Two.")
    without = citation(1, [], title="Title.").citation
    assert (without.text, without.title, without.abstract) == ("Title.", "Title.", "")


def test_the_values_cannot_be_changed() -> None:
    mention = Mention(start_char=0, end_char=1, label="Drug", score=1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        mention.end_char = 2  # type: ignore[misc]
