"""The command line. Each command lives in its own module and is imported only when it is called.

Exit codes: 0 done, 1 failed, 2 usage error, 128 + n stopped by signal n. Results go to stdout, progress and messages to stderr.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from comention import __version__
from comention.errors import ComentionError

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("pipeline.commands.run:run", "Ingest, annotate and show what is found."),
    "ingest": ("pipeline.commands.ingest:ingest", "Store PubMed citations and their sentences."),
    "subscribe": ("pipeline.commands.subscribe:subscribe", "Keep the citations of queries complete and current."),
    "annotate": ("pipeline.commands.annotate:annotate", "Find mentions in the sentences that have none yet."),
    "top": ("pipeline.commands.top:top", "List the conditions of a drug, the drugs of a condition, or the top pairs."),
    "evidence": ("pipeline.commands.evidence:evidence", "Show the sentences behind a drug-condition pair."),
    "search": ("pipeline.commands.search:search", "Find sentences by their words."),
    "trend": ("pipeline.commands.trend:trend", "Count a drug-condition pair by year."),
    "compare": ("pipeline.commands.compare:compare", "Put the conditions of two drugs side by side."),
    "export": ("pipeline.commands.export:export", "Write citations and mentions as PubTator, BioC or Parquet."),
    "link": ("pipeline.commands.link:link", "Let names stand for the concepts of a terminology."),
    "metrics": ("pipeline.commands.metrics:metrics", "Serve what is owed, for Prometheus."),
    "status": ("pipeline.commands.status:status", "Say what is stored, annotated, owed and refused."),
    "quarantine": (
        "pipeline.commands.quarantine:quarantine",
        "Show what was tried too often, and let it be tried anew.",
    ),
    "verify": ("pipeline.commands.verify:verify", "Prove that the counts agree with a recount."),
    "up": ("pipeline.commands.up:up", "Run everything on this machine: servers, workers, schedule."),
    "worker": ("pipeline.commands.worker:worker", "Work for queues, as a server does."),
    "beat": ("pipeline.commands.beat:beat", "Send what is due at its time."),
    "train": ("pipeline.commands.train:train", "Train an annotator from annotated corpora."),
    "evaluate": ("pipeline.commands.evaluate:evaluate", "Score an annotator on an annotated corpus."),
    "annotators": ("pipeline.commands.annotators:annotators", "List the annotators and look at one."),
    "serve": ("dashboard.command:serve", "Serve the dashboard."),
    "db": ("pipeline.commands.db:db", "Create, upgrade, check and open the database."),
    "demo": ("pipeline.commands.demo:demo", "Run the main job on the bundled sample."),
}
"""Name -> (module:attribute, the one line that `--help` shows)."""


class LazyGroup(click.Group):
    """A command group that knows its commands' names and summaries without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return it."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="comention")
def cli() -> None:
    """Drug-condition co-occurrence from PubMed, with the sentences that say so."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status; a user never sees a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal's encoding lacks is written in escapes
            stream.reconfigure(errors="backslashreplace")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _stop)
    for argument in sys.argv[1:] if arguments is None else arguments:
        if not _is_utf8(argument) and not os.path.lexists(argument):
            shown = argument.encode("utf-8", "replace").decode()
            click.echo(f"Error: {shown!r} is not UTF-8, and no file either", err=True)
            sys.exit(2)
    sys.exit(_run(arguments))


class _StoppedError(KeyboardInterrupt):
    """A signal asked the program to stop."""

    number: signal.Signals | None = None
    """The signal, kept here because a library may turn the exception into one of its own."""


def _stop(number: int, _frame: FrameType | None) -> None:
    _StoppedError.number = signal.Signals(number)
    raise _StoppedError


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command and return the exit status."""
    try:
        status = cli.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:
        if _StoppedError.number is not None:
            click.echo(f"stopped by {_StoppedError.number.name}; the same command goes on where it was", err=True)
            return 128 + _StoppedError.number
        if isinstance(error, click.exceptions.Abort):
            click.echo("interrupted", err=True)
            return 130
        if isinstance(error, BrokenPipeError):
            # The reader of a pipe has gone, as `head` does: nothing is wrong, and nobody listens.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        if isinstance(error, ComentionError):
            click.echo(f"comention: {error}", err=True)
            return 1
        if os.environ.get("COMENTION_TRACEBACK"):
            raise
        click.echo(
            f"comention: a defect in comention: {type(error).__name__}: {error}. What is stored is whole; "
            "set COMENTION_TRACEBACK=1 and run the same command again for the details that a report needs",
            err=True,
        )
        return 1
    return status if isinstance(status, int) else 0


def _is_utf8(argument: str) -> bool:
    """Say whether an argument is text; bytes that are not UTF-8 reach Python as surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in argument)
