"""Writers give way to whoever asks on the same machine. Priorities do not rise again, so each test has processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority a thread, and /proc")

SESSION = """
import json, os, sys, threading
from storage.database import Database, parse_url
from storage.priority import step_back

database, seen, end = Database(parse_url(sys.argv[1], connect_timeout=10)), [], threading.Event()
beside = threading.Thread(target=end.wait)
beside.start()

def look():
    with database.transaction() as connection:
        backend = connection.connection.driver_connection.info.backend_pid
        seen.append([os.getpriority(os.PRIO_PROCESS, one) for one in (0, beside.native_id, backend)])

look()
step_back(7)
look()
step_back(3)
look()
end.set()
print(json.dumps(seen))
"""

GROUPS = """
import json, os, sys
from pathlib import Path
from storage.database import Database, parse_url
from storage.priority import step_back

database, seen = Database(parse_url(sys.argv[1], connect_timeout=10)), []

def look():
    with database.transaction() as connection:
        backend = connection.connection.driver_connection.info.backend_pid
        seen.append([int(Path(f"/proc/{one}/autogroup").read_text().split()[-1]) for one in (os.getpid(), backend)])

for nice in (0, 7, 3):
    step_back(nice)
    look()
print(json.dumps(seen))
"""

PATIENT = """
import ctypes, json, os
from pathlib import Path
from storage.priority import step_back

os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1)  # PR_SET_DUMPABLE: or what belongs to the process belongs to root after the change
seen = []
for nice in (3, 4, 5):  # Linux allows a change in a tenth of a second
    step_back(nice)
    seen.append(int(Path("/proc/self/autogroup").read_text().split()[-1]))
print(json.dumps(seen))
"""

EMBEDDED = """
import json, os, sys
from pathlib import Path
from comention.settings import Settings, WorkSettings
from storage.database import open_database

work = {} if sys.argv[2] == "unset" else {"nice": int(sys.argv[2])}
with open_database(Settings(home=Path(sys.argv[1]), work=WorkSettings(**work)), background=True) as database:
    with database.transaction() as connection:
        backend = connection.connection.driver_connection.info.backend_pid
    (pid_file,) = Path(sys.argv[1]).rglob("postmaster.pid")
    postmaster = int(pid_file.read_text().split()[0])
    print(json.dumps([os.getpriority(os.PRIO_PROCESS, one) for one in (0, backend, postmaster)]))
"""


def run(script: str, *arguments: str, leads: bool = False) -> Any:
    outcome = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=leads,
    )
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


def test_sessions_step_back_with_their_process_and_all_its_threads(database: Database) -> None:
    assert run(SESSION, database.url.render_as_string(hide_password=False)) == [[0, 0, 0], [7, 7, 7], [7, 7, 7]]


def _has_groups() -> bool:
    with suppress(OSError):
        return bool(Path("/proc/self/autogroup").read_text().strip())
    return False


@pytest.mark.skipif(not _has_groups(), reason="this kernel does not group processes by session")
def test_groups_of_sessions_step_back_and_that_of_a_terminal_does_not(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    assert run(GROUPS, url, leads=True) == [[0, 0], [7, 7], [7, 7]]
    of_ours = int(Path("/proc/self/autogroup").read_text().split()[-1])
    assert run(GROUPS, url) == [[of_ours, 0], [of_ours, 7], [of_ours, 7]]


@pytest.mark.skipif(not _has_groups() or os.geteuid() != 0, reason="needs groups, and root to become somebody else")
def test_a_user_who_may_change_groups_seldom_is_patient() -> None:
    assert run(PATIENT, leads=True) == [3, 4, 5]


@pytest.mark.parametrize(("given", "nice"), [("unset", 19), ("0", 0), ("5", 5)])
def test_who_works_in_the_background_steps_back_and_the_embedded_server_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, nice: int
) -> None:
    monkeypatch.delenv("COMENTION_WORK__NICE")
    assert run(EMBEDDED, str(tmp_path), given) == [nice, nice, 0]
