"""Which head of an annotator is scored on which corpus.

A model of ours has a head for each annotation guideline. Guidelines conflict, so on a corpus the head that was trained under
the corpus's own guideline says how well the model has learnt it, and what the annotator does as shipped says how well it
would do on such text. Both are of interest, and they are different figures.
"""

from __future__ import annotations

from pathlib import Path

from annotate.corpora import Corpus
from annotate.recipe import Recipe
from annotate.registry import BUNDLED
from comention.errors import AnnotatorError

AUTO, DEFAULT = "auto", "default"


def annotator_heads(name: str) -> tuple[str, ...]:
    """Return the heads of a bundled annotator or of a model folder; none for an annotator of another kind.

    A folder that cannot be opened so, for want of a label map or a file, has none either: loading it says what is wrong.
    """
    from annotate.folder import open_folder

    bundled = BUNDLED / name
    path = bundled if name and "/" not in name and name not in (".", "..") and bundled.is_dir() else Path(name)
    if not name or not path.is_dir():
        return ()
    try:
        return tuple(head.name for head in open_folder(path).heads)
    except AnnotatorError:
        return ()


def choose_head(name: str, corpus: Corpus, asked: str = AUTO) -> str:
    """Return the head to score, or nothing where the annotator is to be taken as it comes.

    ``asked`` is ``auto`` (the head that has the name of the corpus's guideline, if there is one), ``default`` (the
    annotator as it comes) or the name of a head. ``NAME:HEAD`` has chosen already.

    Raises:
        AnnotatorError: the annotator has no head of that name.
    """
    heads = annotator_heads(name)
    if asked == AUTO:
        return corpus.guideline if len(heads) > 1 and corpus.guideline in heads else ""
    if asked == DEFAULT:
        return ""
    if asked not in heads:
        has = f"it has {', '.join(heads)}" if heads else "it has no heads to choose from"
        raise AnnotatorError(f"the annotator {name!r} has no head {asked!r}; {has}")
    return asked


def choose_trained(out: Path, recipe: Recipe, corpus: Corpus) -> tuple[Path, str]:
    """Return the folder to score of what a run has written to ``out``, and the head of it, empty for the folder as it is.

    Where the run has written a folder for each head, it is that of the corpus's guideline, or else that of the first head
    that decides for a label.
    """
    if not recipe.has_folder_for_each_head:
        return out, choose_head(str(out), corpus)
    known = [head.name for head in recipe.heads]
    return out / (corpus.guideline if corpus.guideline in known else next(iter(recipe.deciding.values()))), ""
