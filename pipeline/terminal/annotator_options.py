"""How the annotator is chosen on the command line, the same for every command that needs one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from comention.settings import DEVICES, AnnotateSettings

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


_device_option = click.option(
    "--device",
    metavar="NAME",
    callback=lambda _context, _option, value: _known_device(value),
    help="auto, cpu, cuda or cuda:N; the default is the setting COMENTION_ANNOTATE__DEVICE.",
)

_precision_option = click.option(
    "--precision",
    type=click.Choice(["auto", "int8", "bf16", "fp32"]),
    help="The number format; the default is the setting COMENTION_ANNOTATE__PRECISION.",
)


def _known_device(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(DEVICES, value):
        raise click.BadParameter(f"{value!r} is no device: auto, cpu, cuda or cuda:N")
    return value


def compute_options(function: _Function) -> _Function:
    """Give a command the options ``--device`` and ``--precision``."""
    return _device_option(_precision_option(function))


def annotator_options(function: _Function) -> _Function:
    """Give a command the options ``--annotator``, ``--labels``, ``--device`` and ``--precision``."""
    return _annotator_option(labels_option(compute_options(function)))


def require_annotator(name: str) -> None:
    """Refuse a name that no annotator has, without loading one.

    Raises:
        click.UsageError: it is neither an annotator's name, nor a model folder, nor one of the hub.
    """
    from annotate.hub import HUB
    from annotate.registry import list_annotators

    known = [available.name for available in list_annotators()]
    if not (name.startswith(HUB) or name.partition(":")[0] in known or name in known or Path(name).is_dir()):
        raise click.UsageError(f"there is no annotator {name!r}; give a model folder or one of: {', '.join(known)}")


def load_chosen(
    settings: AnnotateSettings,
    annotator: str | None,
    labels: Path | None,
    *,
    device: str | None = None,
    precision: str | None = None,
) -> Annotator:
    """Load the annotator that the options name, or else that of the settings.

    The label map of the settings belongs to the annotator of the settings: it does not go with another.
    """
    from annotate.registry import load_annotator

    computing = {"device": device, "precision": precision}
    settings = settings.model_copy(update={name: value for name, value in computing.items() if value is not None})
    if labels is not None:
        settings = settings.model_copy(update={"labels": labels})
    elif annotator is not None and annotator != settings.annotator:
        settings = settings.model_copy(update={"labels": None})
    return load_annotator(annotator or settings.annotator, settings)
