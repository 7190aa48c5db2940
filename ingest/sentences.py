"""Sentences of a citation: a rule-based splitter with exact offsets.

A sentence may end at ``.``, ``?`` or ``!`` (with the brackets and quotes that close after it) where white space
follows. Whether it does is decided by the word before and the word after: abbreviations, initials, genus names and
numbers hold a sentence together; capitals, digits and gene-like words such as ``p53`` or ``mRNA`` begin one. The
rules are tuned on abstracts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from comention.types import Sentence

if TYPE_CHECKING:
    from comention.types import Citation, Splitter

_OPENERS = "(\\[{\"'“‘«"
_CLOSERS = ")\\]}\"'”’»"

_BEGINNERS = (
    "A|An|The|This|That|These|Those|There|It|Its|We|Our|They|Their|He|She|His|Her|In|On|At|For|From|By|To|With|Of|As|If|When|While|"
    "Where|Whether|Although|Though|However|Moreover|Furthermore|Therefore|Thus|Hence|Here|Herein|Both|All|Each|No|Some|Most|Many|"
    "Only|One|Two|Three|Four|After|Before|During|Since|Because|Using|Based|Among|Between|Under|Our|Patients|Results|Methods|"
    "Background|Conclusion|Conclusions|Objective|Objectives|Purpose|Aim|Aims|Design|Setting|Finally|Interestingly|Similarly|"
    "Additionally|Conversely|Overall|Other|Such|Not|RESULTS|METHODS|BACKGROUND|CONCLUSION|CONCLUSIONS|OBJECTIVE|OBJECTIVES|PURPOSE"
)
_BEGINNER = re.compile(rf"(?:{_BEGINNERS})(?![A-Za-z0-9.-])")

# What every candidate begins with: found by itself it takes a third of the time of a search for all forms of a candidate.
_STOP = re.compile(r"[.?!\n]")
# Quantifiers that could be retried are possessive, and a run of stops is entered at its first: linear in any text.
_CANDIDATE = re.compile(
    rf"(?<![.?!])(?P<stop>[.?!]++)[{_CLOSERS}]*+(?P<space>\s++)(?=\S)"
    # Without the space, only where the words leave no doubt: "in all patients.The dose", "in mice.(ABSTRACT TRUNCATED".
    rf"|(?<=[A-Za-z0-9)%][A-Za-z0-9)%])\.(?!(?:A|No|As|At|Of|To|On|Not)[ ,:])(?=(?:{_BEGINNERS})[ ,:])"
    r"|\.(?=\(ABSTRACT TRUNCATED)"
    # A reference number set as a superscript: "as reported before.12,13 The dose".
    r"|(?<=[a-z][a-z][a-z])\.[0-9]{1,3}(?:[,–-][0-9]{1,3})*+\s++(?=[A-Z])"
    # An empty line.
    r"|\n\s*\n\s*"
)
_FOLLOWING = re.compile(rf"[{_OPENERS}]*+(\S++)")
_GENE_LIKE = re.compile(r"[a-zα-ω]-?[^\s]*[A-Z0-9]|[a-z]-[a-z]|[α-ω]|(?:alpha|beta|gamma|delta|kappa)(?![a-z])")
_LETTER = re.compile(r"[A-Z],?")
_CODE = re.compile(r"[A-Z]+[-/]?[0-9]")
_LIST_MARKER = re.compile(r"(?:[a-z]|[ivx]{2,4})[):]")
_INITIALS = re.compile(r"[A-Za-z](?:\.-?[A-Za-z])*")
_NEVER_BEGIN = frozenset(",;:=<>%/&)]}.≤≥±×·")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that never end a sentence with their full stop.
_ALWAYS_GOES_ON = _words(
    "dr drs mr mrs ms prof vs v.s cf e.g i.e eg viz approx ca fig figs eq eqs ref refs resp incl excl n.b dept univ proc"
    " natl acad biol chem sect"
)
# Words that go on where a number follows.
_GOES_ON_WITH_NUMBER = _words("no nos vol p pp ch tab suppl art ed pt st cat lot ser n nr min hr hrs sec")
# Words that end a sentence only where a word with a capital follows that is not an acronym.
_ENDS_BEFORE_WORD = _words(
    "al etc i.v i.p i.m i.c i.c.v i.n i.g i.d s.c p.o p.r p.c q.d b.i.d t.i.d q.i.d b.d b.w a.m p.m w.w sp spp ssp"
    " subsp var cv wt max"
)
# Words that end a sentence only where a word follows that can hardly be the rest of a name.
_ENDS_BEFORE_BEGINNER = _words(
    "inc ltd co corp jr sr ph.d m.d u.s u.s.a u.k e.u st mt ft sci med int soc am rev mol exp"
)
# After these words a single letter is the end of a name, not an initial: "vitamin C", "hepatitis B".
_LETTERED = _words(
    "vitamin vitamins hepatitis type types group groups class grade stage phase influenza factor protein part level arm"
    " cohort cyclosporin ciclosporin amphotericin mitomycin polymyxin subtype serotype toxin immunoglobulin coenzyme"
    " haemophilia hemophilia child form region domain site compound method model series panel appendix bcl"
)
# After these an initial begins a name: "described by J. Smith", "isolated from S. Typhi".
_BEFORE_NAMES = _words(
    "thank thanks from with like than into versus against between within toward towards genus strain strains"
)
# Species that follow an initial even where somebody wrote them with a capital: "E. Coli".
_EPITHETS = _words(
    "coli aureus albicans elegans melanogaster cerevisiae typhi typhimurium pneumoniae difficile pylori falciparum vivax"
)
_LONGEST_PARENTHESIS = 300


class RuleSplitter:
    """Splits by rules; stateless, so one instance may serve every thread."""

    name = "rules-1"

    def split(self, text: str) -> list[tuple[int, int]]:
        """Return (start, end) of every sentence of ``text``, in order, disjoint, trimmed of white space, none empty.

        Every character that is not white space lies in exactly one sentence.
        """
        spans: list[tuple[int, int]] = []
        start = len(text) - len(text.lstrip())
        end = len(text.rstrip())
        searched = start
        for stop in _STOP.finditer(text, start, end):
            at = stop.start()
            if at < searched or (found := _CANDIDATE.match(text, at, end)) is None:
                continue
            searched = found.end()
            if _is_boundary(text, start, found):
                sentence = text[start:searched]
                spans.append((start, start + len(sentence.rstrip())))
                start = searched
        if start < end:
            spans.append((start, end))
        return spans


def split_citation(citation: Citation, splitter: Splitter) -> list[Sentence]:
    """Split every section of a citation by itself; ordinals run from zero through the whole citation."""
    sentences: list[Sentence] = []
    for section in citation.sections:
        offset = section.start_char
        text = citation.text[offset : section.end_char]
        for start, end in splitter.split(text):
            sentences.append(
                Sentence(
                    pmid=citation.pmid,
                    ordinal=len(sentences),
                    section=section.label,
                    start_char=offset + start,
                    end_char=offset + end,
                    text=text[start:end],
                )
            )
    return sentences


def _is_boundary(text: str, start: int, found: re.Match[str]) -> bool:
    """Whether the sentence that begins at ``start`` ends at this candidate."""
    if found["space"] is None or found["space"].count("\n") > 1:  # the other forms of a candidate are unmistakable
        return True
    following = _FOLLOWING.match(text, found.end())
    if following is None:
        return False
    word = following[1]
    if not _may_begin(word) or _in_parenthesis(text, start, found):
        return False
    if found["stop"] != "." or found.end("stop") != found.start("space"):
        return True
    stop = found.start("stop")
    return _word_may_end(text, start, stop, word)


def _may_begin(word: str) -> bool:
    """Whether a sentence may begin with this word."""
    first = word[0]
    if first in _NEVER_BEGIN:
        return False
    return not first.islower() or _GENE_LIKE.match(word) is not None or _LIST_MARKER.match(word) is not None


def _in_parenthesis(text: str, start: int, found: re.Match[str]) -> bool:
    """Whether a parenthesis or bracket opened within this sentence is closed soon after the candidate.

    A bracket around the whole text, as of a translated title, opens no parenthesis; nor does one that is never closed.
    """
    end = found.start("space")
    opened_from = max(start + 1, end - 2 * _LONGEST_PARENTHESIS)
    for opener, closer in ("()", "[]"):
        if text.count(opener, opened_from, end) > text.count(closer, opened_from, end):
            closed = text.find(closer, end, end + _LONGEST_PARENTHESIS)
            if closed >= 0 and text.find(opener, end, closed) < 0:
                return True
    return False


def _word_may_end(text: str, start: int, stop: int, following: str) -> bool:
    """Whether the word before the full stop at ``stop`` may be the last of a sentence, given the word that follows."""
    before = text[max(start, stop - 60) : stop].split()
    if not before:
        return False
    word = before[-1].lstrip("([{\"'“‘«")
    key = word.lower()
    if key in _ALWAYS_GOES_ON:
        return False
    number_follows = following[0].isdigit()
    if key == "no" and _CODE.match(following):
        return False
    if number_follows and (key in _GOES_ON_WITH_NUMBER or key == "0" or key.endswith((" 0", "=0", "<0", ">0"))):
        return False
    if key in _ENDS_BEFORE_WORD:
        return (following[:1].isupper() and following[1:2].islower()) or _BEGINNER.match(following) is not None
    if key in _ENDS_BEFORE_BEGINNER:
        return _BEGINNER.match(following) is not None
    if len(before) == 1 and key.isdecimal() and stop - len(before[-1]) == start:
        return False  # the number of a list item
    if _INITIALS.fullmatch(word) and word[0].isupper():
        return _initial_may_end(before, following)
    return True


def _initial_may_end(before: list[str], following: str) -> bool:
    """Whether ``C.`` ends a sentence ("vitamin C. Patients") or goes on ("C. Albicans", "C. Smith")."""
    if _BEGINNER.match(following):
        return True
    if len(before) < 2 or following.lower().strip(",;:)") in _EPITHETS:
        return False
    name = before[-2].lower().strip("([\"'")
    if name in ("and", "or", "to") and len(before) > 2:  # "types A and B", but "Smith and B. Jones"
        return _LETTER.fullmatch(before[-3]) is not None
    if name in _LETTERED:
        return True
    # "protein kinase A. Activation", "NF-kappa B. Phorbol": the letter belongs to the noun before it.
    return len(name) > 3 and before[-2][-1].islower() and name not in _BEFORE_NAMES and not before[-2].istitle()
