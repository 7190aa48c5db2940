"""Annotators by name: the bundled ones, those of the hub that are known by name, those of plugins, any other model of the
hub, and model folders.

A plugin announces an annotator under the entry point group ``comention.annotators``: a callable that takes
:class:`comention.settings.AnnotateSettings` and returns a :class:`comention.types.Annotator`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from annotate.hub import HUB, HUB_ANNOTATORS, HubAnnotator
from comention.errors import AnnotatorError, ComentionError
from comention.settings import AnnotateSettings
from comention.types import Annotator

if TYPE_CHECKING:
    from annotate.folder import TaggerFolder

ENTRY_POINTS = "comention.annotators"
BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailableAnnotator:
    """An annotator that can be loaded by ``name``.

    ``source`` is ``bundled``, the model of the hub (``hf:…``), or the distribution that brings it.
    """

    name: str
    source: str
    labels: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()


def list_annotators() -> list[AvailableAnnotator]:
    """List the bundled annotators, those of the hub that have a name here, and those of plugins, without loading one.

    A plugin's labels are not known yet.
    """
    from annotate.folder import open_folder

    found = []
    for path in sorted(BUNDLED.iterdir()):
        if path.is_dir():
            folder = open_folder(path)
            heads = tuple(head.name for head in folder.heads)
            found.append(AvailableAnnotator(name=path.name, source="bundled", labels=folder.labels, heads=heads))
    for name, model in HUB_ANNOTATORS.items():
        found.append(AvailableAnnotator(name=name, source=f"{HUB}{model.repository}", labels=model.labels))
    for point in _plugins():
        source = point.dist.name if point.dist is not None else "a plugin"
        found.append(AvailableAnnotator(name=point.name, source=source))
    return found


def load_annotator(name: str, settings: AnnotateSettings) -> Annotator:
    """Load an annotator: a name of :func:`list_annotators`, ``hf:ORGANISATION/NAME`` with ``@REVISION`` or not, or the path of
    a model folder.

    ``NAME:HEAD`` lets one head of a model folder decide all of its labels, as ``compact:ade`` does. The label map of the
    settings says what a model's labels mean and what they are called.

    Raises:
        AnnotatorError: there is no annotator of that name, it cannot be fetched or loaded, or the label map does not fit.
    """
    if name.startswith(HUB):
        repository, _, head = name.removeprefix(HUB).partition(":")
        repository, _, revision = repository.partition("@")
        return _load_hub(repository, revision or None, head, settings, name=name)
    base, _, head = name.partition(":")
    if (BUNDLED / base).is_dir() and "/" not in base and base not in ("", ".", ".."):
        return _load_folder(_open(BUNDLED / base, head, settings), settings, name=name, model="bundled")
    if base in HUB_ANNOTATORS:
        known = HUB_ANNOTATORS[base]
        return _load_hub(known.repository, known.revision, head, settings, name=name, known=known)
    for point in _plugins():
        if point.name == name:
            return _load_plugin(point, settings)
    if name and Path(name).is_dir():  # a path may have a colon of its own
        base, head = name, ""
    if base and Path(base).is_dir():
        path = Path(base).resolve()
        called = f"{path.name}:{head}" if head else path.name
        return _load_folder(_open(path, head, settings), settings, name=called, model=path.name)
    known_names = ", ".join(available.name for available in list_annotators())
    raise AnnotatorError(
        f"there is no annotator {name!r}; give the path of a model folder, {HUB}ORGANISATION/NAME or one of: {known_names}"
    )


def _open(path: Path, head: str, settings: AnnotateSettings, known: HubAnnotator | None = None) -> TaggerFolder:
    """Open a model folder under the label map of the settings, or else what we know of its labels."""
    from annotate.folder import open_folder
    from annotate.labels import load_label_map

    if settings.labels is None:
        label_map = known.label_map if known is not None else None
    elif str(settings.labels) in HUB_ANNOTATORS and not settings.labels.is_file():
        label_map = HUB_ANNOTATORS[str(settings.labels)].label_map
    else:
        label_map = load_label_map(settings.labels)
    allow_pickle = settings.allow_pickle or (known is not None and known.allow_pickle)
    return open_folder(path, label_map, head=head, allow_pickle=allow_pickle)


def _load_hub(
    repository: str,
    revision: str | None,
    head: str,
    settings: AnnotateSettings,
    *,
    name: str,
    known: HubAnnotator | None = None,
) -> Annotator:
    from annotate.hub import fetch_model

    allow_pickle = settings.allow_pickle or (known is not None and known.allow_pickle)
    fetched = fetch_model(repository, revision, allow_pickle=allow_pickle)
    folder = replace(_open(fetched.path, head, settings, known), commit=fetched.commit)
    return _load_folder(folder, settings, name=name, model=repository)


def _load_folder(folder: TaggerFolder, settings: AnnotateSettings, *, name: str, model: str) -> Annotator:
    from annotate.engine import BertAnnotator  # torch: only now that the folder is known to be good

    return BertAnnotator(folder, settings, name=name, model=model)


def _plugins() -> list[EntryPoint]:
    return sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)


def _load_plugin(point: EntryPoint, settings: AnnotateSettings) -> Annotator:
    """Load a plugin's annotator. Whatever goes wrong inside it is reported as the plugin's failure."""
    if settings.labels is not None:
        raise AnnotatorError(f"the annotator {point.name!r} is a plugin's: a label map (--labels) is for models only")
    try:
        annotator = point.load()(settings)
    except ComentionError:
        raise
    except Exception as error:
        raise AnnotatorError(f"the annotator {point.name!r} ({point.value}) cannot be loaded: {error!r}") from error
    if not isinstance(annotator, Annotator):
        raise AnnotatorError(f"the annotator {point.name!r} ({point.value}) has no info or no annotate method")
    return annotator
