"""How the annotator is chosen on the command line, the same for every command that needs one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from comention.settings import AnnotateSettings

if TYPE_CHECKING:
    from comention.types import Annotator

_Function = TypeVar("_Function", bound=Callable[..., Any])

labels_option = click.option(
    "--labels",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file that says what the model's labels mean and what they are called; ade or craft for a copy of that model.",
)

_annotator_option = click.option(
    "--annotator",
    metavar="NAME",
    help="A name of `comention annotators list`, NAME:HEAD, hf:ORGANISATION/NAME[@REVISION] or a model folder; "
    "the default is the setting COMENTION_ANNOTATE__ANNOTATOR.",
)


def annotator_options(function: _Function) -> _Function:
    """Give a command the options ``--annotator`` and ``--labels``."""
    return _annotator_option(labels_option(function))


def load_chosen(settings: AnnotateSettings, annotator: str | None, labels: Path | None) -> Annotator:
    """Load the annotator that the options name, or else that of the settings.

    The label map of the settings belongs to the annotator of the settings: it does not go with another.
    """
    from annotate.registry import load_annotator

    if labels is not None:
        settings = settings.model_copy(update={"labels": labels})
    elif annotator is not None and annotator != settings.annotator:
        settings = settings.model_copy(update={"labels": None})
    return load_annotator(annotator or settings.annotator, settings)
