"""Models from the Hugging Face hub: which are known by name, and fetching the files that one needs.

What has been fetched once is taken from the hub library's cache when the hub cannot be reached; the variables of that library
(``HF_HOME``, ``HF_HUB_OFFLINE``, ``HF_ENDPOINT``, ``HF_TOKEN``) are its own and hold here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from annotate.folder import SMALL_FILES
from annotate.labels import LabelMap
from annotate.weights import PICKLED_WEIGHTS, WEIGHTS, WEIGHTS_INDEX
from comention.errors import AnnotatorError

HUB = "hf:"
_NAME = re.compile(r"[\w.-]+/[\w.-]+")

_COMMIT = re.compile(r"[0-9a-f]{40}")

_WEIGHTS = (WEIGHTS, WEIGHTS_INDEX, "model-*-of-*.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAnnotator:
    """A model of the hub that is known by a name of ours; ``labels`` is what its mentions may be."""

    repository: str
    revision: str | None = None
    labels: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    allow_pickle: bool = False

    @property
    def label_map(self) -> LabelMap:
        """What we know of its labels."""
        return LabelMap(tags=self.tags, labels=self.names, where="comention's own table", lenient=True)


HUB_ANNOTATORS: Mapping[str, HubAnnotator] = {
    # Its main revision has pickled weights only; this commit, a conversion by the hub's own bot, adds safetensors to it. Its
    # card says no more than LABEL_1 and 2: drug, 3 and 4: condition. Trained on ADE, that condition is an adverse effect.
    "ade": HubAnnotator(
        repository="HMHMlee/BioLinkBERT-base-finetuned-ner",
        revision="90d3acd42c601d0465be0b54e8456c0ffb631e98",
        labels=("Drug", "Condition"),
        tags={"LABEL_0": "O", "LABEL_1": "B-DRUG", "LABEL_2": "I-DRUG", "LABEL_3": "B-EFFECT", "LABEL_4": "I-EFFECT"},
        names={"DRUG": "Drug", "EFFECT": "Condition"},
    ),
    # Which commit of it has safetensors, if one has, is not known to us: its pickle is read by torch's restricted reader.
    "craft": HubAnnotator(
        repository="StivenLancheros/biobert-base-cased-v1.2-finetuned-ner-CRAFT_Augmented_EN",
        labels=("Sequence", "Cell", "Protein", "Gene", "Taxon", "Chemical"),
        names={name: name for name in ("Sequence", "Cell", "Protein", "Gene", "Taxon", "Chemical")},
        allow_pickle=True,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class HubModel:
    """A model's files in the cache, and the commit that they are of."""

    path: Path
    commit: str


def fetch_model(repository: str, revision: str | None = None, *, allow_pickle: bool = False) -> HubModel:
    """Fetch the files of a model that are needed, or find them in the cache.

    Raises:
        AnnotatorError: the name is none, there is no such model or revision, it may not be read, the hub cannot be reached and
            the cache does not have it, or its only weights are pickled and may not be read.
    """
    if not _NAME.fullmatch(repository):
        raise AnnotatorError(
            f"{HUB}{repository} is no name of a model: write {HUB}ORGANISATION/NAME, with @REVISION behind it or not"
        )
    named = f"{HUB}{repository}" + (f"@{revision}" if revision else "")
    if revision is not None and _COMMIT.fullmatch(revision):  # what a commit has never changes: nobody need be asked
        cached = _find_cached(repository, revision)
        if cached is not None and (_has_weights(cached) or (cached / PICKLED_WEIGHTS).is_file()):
            return HubModel(path=cached, commit=cached.name)
    files = _list_files(repository, revision, named)
    if files is None:
        cached = _find_cached(repository, revision)
        if cached is None:
            raise AnnotatorError(
                f"{named} is not in the cache, and the hub cannot be reached: connect once, or give the path of a model folder"
            )
        return HubModel(path=cached, commit=cached.name)
    patterns = [*SMALL_FILES, *_WEIGHTS]
    if not {WEIGHTS, WEIGHTS_INDEX} & files and PICKLED_WEIGHTS in files:
        if not allow_pickle:
            raise AnnotatorError(
                f"{named} has pickled weights only ({PICKLED_WEIGHTS}), which can run code when they are read: if you "
                f"trust their author, set COMENTION_ANNOTATE__ALLOW_PICKLE=true, else find a revision with {WEIGHTS}"
            )
        patterns = [*SMALL_FILES, PICKLED_WEIGHTS]
    path = _download(repository, revision, named, patterns)
    return HubModel(path=path, commit=path.name)


def _has_weights(path: Path) -> bool:
    return (path / WEIGHTS).is_file() or (path / WEIGHTS_INDEX).is_file()


def _find_cached(repository: str, revision: str | None) -> Path | None:
    """Return the folder of a model in the cache, if it is there; files of it may be missing."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=[*SMALL_FILES, *_WEIGHTS], local_files_only=True
            )
        )
    except Exception:  # the library has several ways of saying so
        return None


def _list_files(repository: str, revision: str | None, named: str) -> set[str] | None:
    """Ask the hub which files a model has; None where it cannot be reached. One request, without repeating it."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        listed = HfApi().model_info(repository, revision=revision, timeout=10).siblings
    except GatedRepoError as error:
        raise AnnotatorError(f"{named} is gated: accept its terms on the hub, and set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise AnnotatorError(f"the hub has no model {named}, or shows it only to whoever sets HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise AnnotatorError(f"{HUB}{repository} has no revision {revision!r} on the hub") from error
    except HFValidationError as error:
        raise AnnotatorError(f"{named} is no name of a model: {error}") from error
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code < 500:
            raise AnnotatorError(f"the hub refuses {named}: {_first_line(error)}") from error
        return None
    except Exception:  # no route, no name, a proxy, offline mode: each version of the library has its own
        return None
    return {sibling.rfilename for sibling in listed or ()}


def _download(repository: str, revision: str | None, named: str, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars

    if not sys.stderr.isatty() and not are_progress_bars_disabled():
        disable_progress_bars()
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except Exception as error:  # a broken connection, a full disk, a folder that cannot be written
        raise AnnotatorError(f"{named} cannot be fetched from the hub: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
