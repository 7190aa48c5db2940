"""The Celery application whose every message comes twice; for `celery -A tests.doubled_app`."""

from __future__ import annotations

from typing import Any

from pipeline.app import app

_send = app.send_task


def _send_twice(*arguments: Any, **options: Any) -> Any:
    _send(*arguments, **options)
    return _send(*arguments, **options)


app.send_task = _send_twice
