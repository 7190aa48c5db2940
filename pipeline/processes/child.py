"""The entry of a supervised process: a Celery worker, a Celery beat, or a command of comention.

    python -P -m pipeline.processes.child PARENT worker --app MODULE --signs FD --node NAME --queues Q,R --concurrency N
    python -P -m pipeline.processes.child PARENT beat --app MODULE --signs FD
    python -P -m pipeline.processes.child PARENT run COMMAND …

It ends with its parent, and is the only place where a process becomes a Celery worker.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pipeline.parent import end_with_parent


def main(arguments: Sequence[str]) -> None:
    """Become what is asked for."""
    parent, kind, *rest = arguments
    end_with_parent(int(parent))
    if kind == "run":
        from pipeline.cli import main as run_command

        sys.argv[0] = "comention"
        run_command(rest)
        return
    parser = argparse.ArgumentParser(prog=f"pipeline.processes.child {kind}")
    parser.add_argument("--app", required=True)
    parser.add_argument("--signs", type=int, required=True)
    if kind == "worker":
        parser.add_argument("--node", required=True)
        parser.add_argument("--queues", required=True)
        parser.add_argument("--concurrency", type=int, required=True)
    options = parser.parse_args(rest)
    from pipeline.processes.celery_child import run_beat, run_worker
    from pipeline.processes.signs import SignWriter

    signs = SignWriter(options.signs)
    if kind == "worker":
        run_worker(options.app, signs, node=options.node, queues=options.queues, concurrency=options.concurrency)
    else:
        run_beat(options.app, signs)


if __name__ == "__main__":
    main(sys.argv[1:])
