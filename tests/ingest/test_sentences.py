"""The rule-based splitter: invariants over any text, hard cases of the field, and sections of a citation."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from comention.types import Citation, Section, Splitter
from ingest.sentences import RuleSplitter, split_citation

# Each case is the sentences of a text, which joins them by one space.
HARD_CASES = [
    ("Several drugs, e.g. warfarin, interact.", "Others, i.e. statins, do not."),
    ("Doses of 5 mg/kg i.v. were given.", "Blood was drawn."),
    ("It was given i.v.", "Plasma levels rose."),
    ("Smith et al. reported three cases.", "Two died."),
    ("This agrees with Smith et al. (1998) and others.", "We agree."),
    ("As shown in Fig. 2, the rate fell.", "Fig. 3A shows the rest."),
    ("The groups differed (p < 0.05).", "No death occurred."),
    ("The odds ratio was 1.8 (95% CI 1.2-2.7).", "The trend was clear."),
    ("Growth of E. coli was inhibited.", "S. aureus was not affected."),
    ("We cultured E. Coli overnight.", "It grew."),
    ("J. R. Smith and A. B. Jones described it.", "It was mild."),
    ("The method of J. Smith was used.", "It is simple."),
    ("Treatment A vs. B gave no difference.", "Both failed."),
    ("It took approx. 3 h.", "Then it stopped."),
    ("Patient No. 3 relapsed.", "Patient No. 4 did not."),
    ("Dr. Miller was called.", "He came."),
    ("The drug was stopped (see Table 1).", "The rash cleared."),
    ("Recovery was complete (data not shown).", "(The second patient died.)", "All others recovered."),
    ('The patients felt "better."', "They went home."),
    ("Is it safe?", "Yes!", "It is."),
    ("The score fell from 7.5 to 3.2.", "The change lasted."),
    ("Expression fell.", "p53 was not detected."),
    ("Levels rose.", "mRNA of IL-2 was stable.", "c-Myc was absent."),
    ("Cells were lysed.", "miR-21 was measured.", "siRNA had no effect."),
    ("Rats received 20 mg.", "Controls received saline."),
    ("Incubation took 30 min.", "IL-6 was then measured."),
    ("Incubation took 30 min. at 37 degrees.",),
    ("BACKGROUND: Falls are common.", "METHODS: We studied 20 men.", "RESULTS: None fell."),
    ("The 95% CI.", "The rest follows."),
    ("Patients took vitamin C.", "Controls took none."),
    ("He had hepatitis B.", "Lamivudine was started."),
    ("This activates protein kinase C.", "Activation was brief."),
    ("Groups A and B.", "Group C was lost."),
    ("One was treated with Candida spp. isolated from blood.", "It failed."),
    ("Bacillus sp. TS-23 produced it.", "The yield was low."),
    ("He was seen at 11 p.m. and at 2 a.m. by the nurse.", "He slept."),
    ("It was bought from Merck Co. Inc. (Rahway, NJ).", "It was pure."),
    ("The U.S. Food and Drug Administration approved it.", "Europe did not."),
    ("He has a Ph.D. in chemistry.", "She has none."),
    ("Nausea, vomiting, etc. were frequent.", "Rash was rare."),
    ("The effect ... was small.", "It vanished."),
    ("It waned...", "The reason is unknown."),
    ("Three aims were set: 1. to treat; 2. to cure.", "Both were met."),
    ("(1) Bleeding stopped.", "(2) Pain went away."),
    ("1. Introduction is short.", "2. Methods are long."),
    ("P less than 0. 05 was significant.", "Others were not."),
    ("[Fatal bleeding.", "A case report.]"),
    ("Values were normal (Hb 12.1 g/dl; cf. Table 2).", "Urea was high."),
    ("The patient (a smoker. See below for details) died.", "No autopsy was done."),
    ("α-Tocopherol was given.", "β-Carotene was not."),
    ("Was the drug (aspirin?) to blame?", "Perhaps."),
    ("The St. John's wort group did well.", "Others did not."),
    ("Blood loss was 1,200 ml.", "3 units were given."),
    ("Fever rose to 39.5 °C.", "Cooling helped."),
    ("Eq. 2 and Ref. 14 apply.", "Sect. 3 does not."),
    ("The allele HLA-B*57:01 was found.", "Abacavir was stopped."),
    ("Exposure was low (ca. 5 ng/ml).", "None was ill."),
]

# Texts without a space between their sentences, or with none to split.
SPANS = [
    ("No deaths in all patients.The dose was kept.", ["No deaths in all patients.", "The dose was kept."]),
    ("It bound to p53.These data agree.", ["It bound to p53.", "These data agree."]),
    ("Sold as Cat.No 12 by www.example.org only.", ["Sold as Cat.No 12 by www.example.org only."]),
    ("It was slow.(ABSTRACT TRUNCATED AT 250 WORDS)", ["It was slow.", "(ABSTRACT TRUNCATED AT 250 WORDS)"]),
    ("As reported before.12,13 The dose fell.", ["As reported before.12,13", "The dose fell."]),
    ("One paragraph\n\nAnother paragraph", ["One paragraph", "Another paragraph"]),
    ("A heading.\n\nlower case", ["A heading.", "lower case"]),
    ("A line\nthat is wrapped. A second.", ["A line\nthat is wrapped.", "A second."]),
    ("  No stop at the end  ", ["No stop at the end"]),
    ("See e.g.", ["See e.g."]),
    ("", []),
    (" \n\t\u00a0\u2009", []),
]

texts = st.one_of(
    st.text(),
    # Dense in what the rules look at.
    st.lists(
        st.sampled_from("e.g.|i.v.|Fig.|The|p53|A.|E.|0.|05|12|No.|al.|dose.1,2 The|all.The |a|β|𝒜|e\u0301".split("|"))
        | st.sampled_from(list('()[]".?! \n\u00a0\u2028\x1c\x85')),
    ).map("".join),
)


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in RuleSplitter().split(text)]


@pytest.mark.parametrize("expected", HARD_CASES, ids=lambda case: case[0][:40])
def test_hard_cases_are_split_where_a_reader_would(expected: tuple[str, ...]) -> None:
    assert sentences(" ".join(expected)) == list(expected)


@pytest.mark.parametrize(("text", "expected"), SPANS)
def test_layout_without_plain_spaces(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@settings(deadline=None)
@given(texts)
@example(".\x1cA")
@example("a.\u0085A. \u3000B")
def test_sentences_are_ordered_disjoint_trimmed_and_hold_every_character_that_is_not_white_space(text: str) -> None:
    spans = RuleSplitter().split(text)
    position = 0
    for start, end in spans:
        assert position <= start < end <= len(text)
        assert text[position:start].strip() == ""
        assert text[start:end] == text[start:end].strip()
        position = end
    assert text[position:].strip() == ""


@settings(deadline=None)
@given(texts)
def test_a_sentence_in_the_middle_does_not_depend_on_white_space_around_the_text(text: str) -> None:
    assert sentences(f" \n{text}\t ") == sentences(text)


@pytest.mark.parametrize("unit", ["a.", ". ", "A. ", "(e.g. A. ", "\n", "\n ", ")", "Dr. ", ".)", "0. 0", "x", "b.1,"])
def test_time_grows_linearly_with_hostile_text(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    started = time.process_time()
    RuleSplitter().split(text)
    # Generous by a factor of ten and more; anything quadratic takes minutes.
    assert time.process_time() - started < 5


def citation_of(text: str, *sections: Section) -> Citation:
    return Citation(pmid=7, text=text, sections=sections, content_hash=b"", record_hash=b"")


def test_a_citation_is_split_by_section_with_ordinals_and_offsets_of_the_whole_text() -> None:
    text = "Warfarin. A review.\nBACKGROUND: It bleeds. Often. METHODS: We read i.v. only"
    citation = citation_of(
        text,
        Section(label="TITLE", start_char=0, end_char=19),
        Section(label="BACKGROUND", start_char=32, end_char=49),
        Section(label="METHODS", start_char=59, end_char=len(text)),
    )
    splitter: Splitter = RuleSplitter()
    result = split_citation(citation, splitter)
    assert [(s.ordinal, s.section, s.text) for s in result] == [
        (0, "TITLE", "Warfarin."),
        (1, "TITLE", "A review."),
        (2, "BACKGROUND", "It bleeds."),
        (3, "BACKGROUND", "Often."),
        (4, "METHODS", "We read i.v. only"),
    ]
    assert all(s.pmid == 7 and s.text == text[s.start_char : s.end_char] for s in result)


def test_a_label_belongs_to_no_sentence_and_an_empty_title_makes_none() -> None:
    text = "\nRESULTS: None fell."
    citation = citation_of(
        text,
        Section(label="TITLE", start_char=0, end_char=0),
        Section(label="RESULTS", start_char=10, end_char=len(text)),
    )
    assert [s.text for s in split_citation(citation, RuleSplitter())] == ["None fell."]


def test_the_splitter_has_a_name_that_a_corpus_can_record() -> None:
    assert RuleSplitter.name == "rules-1"
