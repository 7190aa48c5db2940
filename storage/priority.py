"""What works in the background steps back, with its sessions, behind whoever asks a question on the same machine.

Writers keep processors busy for as long as there is work, and a question that takes a millisecond would wait for several until
it is its turn. A process of least priority gives way at once, and loses nothing where nobody else wants the processor.

Where Linux groups processes by session (``kernel.sched_autogroup_enabled``), a priority holds within its group alone, and
groups share alike. The process behind each session of Postgres is a group of its own, and so is a supervised process with what
it starts: there the group steps back too (sched(7), "The autogroup feature"). In a container or a unit that has a share of the
processors of its own, that share decides.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

LEAST = 19
"""The niceness of least priority."""

_GROUP_PAUSE_S = 0.1
"""Linux lets users other than root change a group once in a tenth of a second, all of them together."""

_GROUP_ATTEMPTS = 6


def step_back(nice: int) -> None:
    """Give this process, with all its threads and what they start, a lower priority; never a higher one.

    Its group as well where it leads it, and not where it shares the group of somebody's terminal.
    """
    threads = [0]
    if sys.platform == "linux":  # where each thread has a priority of its own, and 0 means this one
        threads = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
    for thread in threads:
        with suppress(ProcessLookupError):
            if os.getpriority(os.PRIO_PROCESS, thread) < nice:
                os.setpriority(os.PRIO_PROCESS, thread, nice)
    _step_back_group(os.getpid(), nice)


def align_session(connection: psycopg.Connection[tuple[object, ...]], nice: int) -> bool:
    """Give the server process behind a session this niceness, where it is on this machine and may be given one.

    Returns whether that is settled; where not, it is worth another try later.
    """
    pid = connection.info.backend_pid
    if not connection.info.host.startswith("/"):
        return True
    with suppress(OSError):
        # A socket may be shared with a container, whose numbers of processes mean others here.
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"postgres: "):
            os.setpriority(os.PRIO_PROCESS, pid, nice)
            return _step_back_group(pid, nice)
    return True


def _step_back_group(leader: int, nice: int) -> bool:
    """Lower the group of a process that leads its session, where there are groups; False where Linux wants more patience."""
    group = Path(f"/proc/{leader}/autogroup")
    for attempt in range(_GROUP_ATTEMPTS):
        try:
            # "/autogroup-1234 nice 0"
            if os.getsid(leader) != leader or int(group.read_text().rpartition(" ")[2]) >= nice:
                return True
            group.write_text(str(nice))
        except BlockingIOError:
            if attempt + 1 < _GROUP_ATTEMPTS:
                # No two at the same time, or those who wait would come together again.
                time.sleep(_GROUP_PAUSE_S * (1 + os.getpid() % 100 / 50))
        except (OSError, ValueError):  # no such kernel, or not ours to change
            return True
    return False
