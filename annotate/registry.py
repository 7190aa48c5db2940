"""Annotators by name: the bundled ones, those of installed plugins, and model folders.

A plugin announces an annotator under the entry point group ``comention.annotators``: a callable that takes
:class:`comention.settings.AnnotateSettings` and returns a :class:`comention.types.Annotator`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from comention.errors import AnnotatorError, ComentionError
from comention.settings import AnnotateSettings
from comention.types import Annotator

if TYPE_CHECKING:
    from annotate.folder import ModelFolder

ENTRY_POINTS = "comention.annotators"
BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailableAnnotator:
    """An annotator that can be loaded by ``name``; ``source`` is ``bundled`` or the distribution that brings it."""

    name: str
    source: str
    labels: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()


def list_annotators() -> list[AvailableAnnotator]:
    """List the bundled annotators and those of plugins, without loading one. A plugin's labels are not known yet."""
    from annotate.folder import open_folder

    found = []
    for path in sorted(BUNDLED.iterdir()):
        if path.is_dir():
            folder = open_folder(path)
            heads = tuple(head.name for head in folder.heads)
            found.append(AvailableAnnotator(name=path.name, source="bundled", labels=folder.labels, heads=heads))
    for point in _plugins():
        source = point.dist.name if point.dist is not None else "a plugin"
        found.append(AvailableAnnotator(name=point.name, source=source))
    return found


def load_annotator(name: str, settings: AnnotateSettings) -> Annotator:
    """Load an annotator: ``compact``, the name that a plugin announces, or the path of a model folder.

    ``NAME:HEAD`` lets one head of a model folder decide all of its labels, as ``compact:ade`` does.

    Raises:
        AnnotatorError: there is no annotator of that name, or it cannot be loaded.
    """
    base, _, head = name.partition(":")
    if (BUNDLED / base).is_dir() and "/" not in base and base not in ("", ".", ".."):
        return _load_folder(BUNDLED / base, head, settings, name=name, model="bundled")
    for point in _plugins():
        if point.name == name:
            return _load_plugin(point, settings)
    if name and Path(name).is_dir():  # a path may have a colon of its own
        base, head = name, ""
    if base and Path(base).is_dir():
        path = Path(base).resolve()
        return _load_folder(path, head, settings, name=f"{path.name}:{head}" if head else path.name, model=path.name)
    known = ", ".join(available.name for available in list_annotators())
    raise AnnotatorError(f"there is no annotator {name!r}; give the path of a model folder or one of: {known}")


def _load_folder(path: Path, head: str, settings: AnnotateSettings, *, name: str, model: str) -> Annotator:
    from annotate.folder import open_folder

    folder = _with_head(open_folder(path), head)
    from annotate.engine import BertAnnotator  # torch: only now that the folder is known to be good

    return BertAnnotator(folder, settings, name=name, model=model)


def _with_head(folder: ModelFolder, head: str) -> ModelFolder:
    if not head:
        return folder
    labels = {known.name: known.labels for known in folder.heads}
    if head not in labels:
        raise AnnotatorError(f"the model folder {folder.path} has no head {head!r}; it has {', '.join(labels)}")
    return replace(folder, decides=dict.fromkeys(labels[head], head))


def _plugins() -> list[EntryPoint]:
    return sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)


def _load_plugin(point: EntryPoint, settings: AnnotateSettings) -> Annotator:
    """Load a plugin's annotator. Whatever goes wrong inside it is reported as the plugin's failure."""
    try:
        annotator = point.load()(settings)
    except ComentionError:
        raise
    except Exception as error:
        raise AnnotatorError(f"the annotator {point.name!r} ({point.value}) cannot be loaded: {error!r}") from error
    if not isinstance(annotator, Annotator):
        raise AnnotatorError(f"the annotator {point.name!r} ({point.value}) has no info or no annotate method")
    return annotator
