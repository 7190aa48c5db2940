"""The sample: citations in PubMed's XML, written for this project, with PMIDs that PubMed does not use."""

from __future__ import annotations

from pathlib import Path


def sample_files() -> list[Path]:
    """Return the files of the sample, in the order in which they are to be read: the last one is an update."""
    return sorted((Path(__file__).parent / "sample").glob("*.xml"))
