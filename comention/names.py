"""Surface form -> name: the spelling under which mentions of one thing meet.

`Methotrexate-Induced  PNEUMONITIS`, `methotrexate‐induced pneumonitis` and `TNF-α` / `TNF-alpha` differ in what an author or a
publisher typed, not in what is meant. A name is what is left when such differences are folded; which names mean one concept
is the business of a terminology.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_GREEK: Final = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "ο": "omicron", "π": "pi",
    "ρ": "rho", "σ": "sigma", "ς": "sigma", "τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi",
    "ω": "omega",
}  # fmt: skip
_TRANSLATION: Final = str.maketrans(
    {
        **_GREEK,
        **dict.fromkeys("‐‑‒–—―−﹣-", "-"),
        **dict.fromkeys("‘’ʼ′`´", "'"),
        **dict.fromkeys("“”„″", '"'),
        "\u00ad": None,  # soft hyphen
        "\u200b": None,  # zero-width space
        "\ufeff": None,
        "ß": "ss",
    }
)
_SPACE: Final = re.compile(r"\s+")
_AROUND_HYPHEN: Final = re.compile(r"\s*-\s*")
_POSSESSIVE: Final = re.compile(r"'s\b")

# Words that end in "s" and are singular, beyond those that the endings below keep.
_SINGULAR_IN_S: Final = frozenset(
    "ascites bias caries diabetes facies herpes measles mumps pancreas pointes rabies rickets scabies series shingles "
    "species tabes".split()
)
_KEPT_ENDINGS: Final = ("ss", "us", "is", "os", "ics", "'s")
_LATIN_PLURALS: Final = (("ioses", "iosis"), ("noses", "nosis"), ("roses", "rosis"), ("boses", "bosis"),
                         ("metastases", "metastasis"), ("yses", "ysis"), ("itides", "itis"))  # fmt: skip


def _singular(word: str) -> str:
    """Fold an English or Latin plural; words of up to four letters are abbreviations more often than plurals."""
    if len(word) < 5 or not word.endswith("s") or word in _SINGULAR_IN_S:
        return word
    for plural, singular in _LATIN_PLURALS:
        if word.endswith(plural):
            return word.removesuffix(plural) + singular
    if word.endswith(_KEPT_ENDINGS):
        return word
    if word.endswith("ies"):
        return word.removesuffix("ies") + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word.removesuffix("es")
    return word.removesuffix("s")


def normalise_name(surface: str) -> str:
    """Return the name of a surface form: case, width, hyphens, Greek letters, possessives and a final plural folded.

    Idempotent: a name is its own name. Never empty for a surface form that has a visible character.
    """
    if surface.isascii():  # most are: of what follows, this is what they need, in half the time
        text = surface.lower().replace("`", "'")
    else:
        text = unicodedata.normalize("NFKC", surface).casefold().translate(_TRANSLATION)
        text = unicodedata.normalize("NFC", text)
    if "'" in text:
        text = _POSSESSIVE.sub("", text)
    if "-" in text:
        text = _AROUND_HYPHEN.sub("-", text)
    text = " ".join(text.split()).strip(" .,;:")
    head, separator, last = text.rpartition(" ")
    head_hyphen, hyphen, tail = last.rpartition("-")
    folded = head + separator + head_hyphen + hyphen + _singular(tail)
    return folded or _SPACE.sub(" ", surface).strip() or surface
