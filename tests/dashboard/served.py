"""`comention serve` in a process of its own."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import COMMAND, command_environment


@contextmanager
def serving(address: str, *arguments: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server and the address that it says it is at."""
    with subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *arguments],
        env=command_environment(**{"COMENTION_DATABASE__URL": address, **settings}),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            found = re.search(r"comention is at (http://\S+) ", said)
            assert found is not None, said
            yield process, found[1]
        finally:
            process.kill()
