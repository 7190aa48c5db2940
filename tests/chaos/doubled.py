"""`comention worker|beat` whose every message is sent twice.

python -m tests.chaos.doubled worker --queues fetch
python -m tests.chaos.doubled beat
"""

from __future__ import annotations

import sys

from comention.settings import load_settings
from pipeline.processes.roles import beat_role, worker_role
from pipeline.processes.supervise import supervise

APP = "tests.doubled_app"


def main() -> None:
    """Supervise one process."""
    settings = load_settings()
    if sys.argv[1] == "beat":
        supervise(settings, beat_role(settings, app=APP))
    else:
        supervise(settings, worker_role(settings, sys.argv[3].split(","), app=APP))


if __name__ == "__main__":
    main()
