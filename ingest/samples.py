"""The sample: citations in PubMed's XML, written for this project, with PMIDs that PubMed does not use."""

from __future__ import annotations

from pathlib import Path

FIRST_PMID = 990_000_001
"""The sample's PMIDs begin here; PubMed's are far below."""

LAST_PMID = 990_999_999


def sample_files() -> list[Path]:
    """Return the files of the sample, in the order in which they are to be read: the last one is an update."""
    return sorted((Path(__file__).parent / "sample").glob("*.xml"))
