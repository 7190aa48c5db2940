"""What works in the background steps back, with its sessions, behind whoever asks a question on the same machine.

Writers keep processors busy for as long as there is work, and a question that takes a millisecond would wait for several until
it is its turn. A process of least priority gives way at once, and loses nothing where nobody else wants the processor.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

LEAST = 19
"""The niceness of least priority."""


def step_back(nice: int) -> None:
    """Give this process, with all its threads and what they start, a lower priority; never a higher one."""
    threads = [0]
    if sys.platform == "linux":  # where each thread has a priority of its own, and 0 means this one
        threads = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
    for thread in threads:
        with suppress(ProcessLookupError):
            if os.getpriority(os.PRIO_PROCESS, thread) < nice:
                os.setpriority(os.PRIO_PROCESS, thread, nice)


def align_session(connection: psycopg.Connection[tuple[object, ...]], nice: int) -> None:
    """Give the server process behind a session this niceness, where it is on this machine and may be given one."""
    pid = connection.info.backend_pid
    if not connection.info.host.startswith("/"):
        return
    with suppress(OSError):
        # A socket may be shared with a container, whose numbers of processes mean others here.
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"postgres: "):
            os.setpriority(os.PRIO_PROCESS, pid, nice)
