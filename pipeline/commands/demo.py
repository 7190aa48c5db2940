"""`comention demo`: the main job on the bundled sample, and what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from comention.errors import AnnotatorError
from pipeline.commands.ingest import show_reports
from pipeline.stages.annotating import annotate_owed
from pipeline.terminal.console import progress_bars, stderr_console, stdout_console

if TYPE_CHECKING:
    from comention.settings import Settings
    from storage.database import Database

PAIRS_SHOWN = 10
PAIRS_WITH_EVIDENCE = 3
SENTENCES_PER_PAIR = 2


@click.command()
@click.option("--remove", is_flag=True, help="Take the sample out of the database again.")
def demo(remove: bool) -> None:
    """Run the main job on the sample: some 120 citations written for this project, with PMIDs from 990,000,001 on."""
    from comention.settings import load_settings
    from storage.database import open_database

    settings = load_settings()
    with open_database(settings) as database:
        if remove:
            _remove(database)
        else:
            _run(database, settings)


def _run(database: Database, settings: Settings) -> None:
    from rich.rule import Rule
    from rich.text import Text

    from annotate.registry import load_annotator
    from ingest.samples import sample_files
    from pipeline.stages.ingest_files import ingest_files
    from pipeline.terminal.show import evidence_list, pairs_table
    from storage.queries import list_evidence, list_pairs

    with progress_bars() as progress:
        reports = ingest_files(database, sample_files(), progress)
        annotator = load_annotator(settings.annotate.annotator, settings.annotate)
        counts, given_up = annotate_owed(
            database, annotator, progress, batch_citations=settings.annotate.batch_citations
        )
    if counts.failed or given_up or not all(report.usable for report in reports):
        show_reports(reports)
        raise AnnotatorError("the sample could not be brought in whole: run `comention status` for what is missing")
    console = stdout_console()
    pairs = list_pairs(database, limit=PAIRS_SHOWN)
    title = "Drugs and conditions in the same sentences, by citations"
    console.print(pairs_table(pairs, title=title, width=console.width))
    for pair in pairs[:PAIRS_WITH_EVIDENCE]:
        console.print(Rule(Text(f"{pair.drug} · {pair.condition}"), align="left", style="dim"))
        console.print(evidence_list(list_evidence(database, pair.drug, pair.condition, limit=SENTENCES_PER_PAIR)))
    first = pairs[0] if pairs else None
    console.print(
        _next_steps(first.drug, first.condition) if first else "the sample holds no pair", markup=False, soft_wrap=True
    )


def _next_steps(drug: str, condition: str) -> str:
    steps = {
        "serve": "all of it in a browser: open http://127.0.0.1:8417/ while it runs",
        f'top --drug "{drug}"': "what else is reported with a drug",
        f'evidence "{drug}" "{condition}"': "the sentences behind a pair",
        "run FILE.xml.gz …": "your own PubMed files",
        f'run --query "{drug}[tiab] AND {condition}[tiab]"': "fetch from PubMed; set COMENTION_NCBI__EMAIL first",
        'db psql -- -c "SELECT * FROM analysis.cooccurrence LIMIT 5"': "ask in SQL",
        "demo --remove": "take the sample out again",
    }
    lines = [f"  comention {command}\n      {purpose}" for command, purpose in steps.items()]
    return "\n".join(["Type next (after `. .venv/bin/activate`, which puts comention on the path):", *lines])


def _remove(database: Database) -> None:
    from comention.types import FIRST_SAMPLE_PMID, MAX_PMID
    from ingest.files import source_digest
    from ingest.samples import sample_files
    from storage.cooccurrence import fold_counts
    from storage.removal import remove_citations

    keys = [f"file:{source_digest(path)}" for path in sample_files()]
    removed = remove_citations(database, first_pmid=FIRST_SAMPLE_PMID, last_pmid=MAX_PMID, source_keys=keys)
    fold_counts(database)
    stderr_console().print(f"{removed:,} citations of the sample removed", markup=False)
