"""The Celery application: queues, priorities, and the schedule that beat keeps.

Postgres holds what is to be done; a message only says that somebody should look. So nothing is lost with a message, nothing
is done twice by one that comes twice, and no result is kept.

    celery -A pipeline.app worker -Q fetch --pool=threads
"""

from __future__ import annotations

from celery import Celery
from celery.schedules import crontab
from kombu.entity import Queue

from comention.settings import Settings, load_settings
from pipeline.observability import telemetry
from storage.jobs import BACKFILL, INTERACTIVE, SCHEDULED

FETCH, ANNOTATE, DEFAULT = QUEUES = ("fetch", "annotate", "default")

TICK_SECONDS = 60.0
VISIBILITY_SECONDS = 600
"""After so long Redis gives a message that nobody confirmed to another worker; the sweep is there long before."""

TIME_LIMIT_SECONDS = 900
"""For the tasks that end after a slice of time; only pools of processes can enforce it, elsewhere leases run out."""


def make_app(settings: Settings | None = None) -> Celery:
    """Return the application for some settings, by default those of the environment. Nothing is connected yet.

    Raises:
        SettingsError: a setting cannot be used.
    """
    settings = settings or load_settings()
    telemetry.connect()
    # An explicit empty address: without one Celery would look for RabbitMQ on this machine.
    broker = settings.redis.url.get_secret_value() if settings.redis.url else "memory://"
    celery = Celery("comention", broker=broker, include=["pipeline.tasks"], set_as_current=False)
    once = {"expires": settings.work.sweep_seconds * 4}
    celery.conf.update(
        task_queues=[Queue(name) for name in QUEUES],  # type: ignore[no-untyped-call]
        task_default_queue=DEFAULT,
        task_create_missing_queues=False,
        task_routes={
            "comention.search": {"queue": FETCH},
            "comention.fetch": {"queue": FETCH},
            "comention.annotate": {"queue": ANNOTATE},
        },
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=True,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_default_priority=BACKFILL,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=4,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_SECONDS,
            "queue_order_strategy": "priority",
            "priority_steps": [INTERACTIVE, SCHEDULED, BACKFILL],
            "socket_connect_timeout": 4,
            "socket_timeout": 10,
            "socket_keepalive": True,
            "health_check_interval": 10,
            # Whoever sends does not wait for a Redis that is away; workers that receive do, for ever.
            "max_retries": 1,
            "interval_start": 0.1,
            "interval_step": 0.1,
            "interval_max": 0.2,
        },
        enable_utc=True,
        timezone="UTC",
        beat_max_loop_interval=5,
        beat_schedule={
            "sweep": {"task": "comention.sweep", "schedule": settings.work.sweep_seconds, "options": once},
            "tick": {"task": "comention.tick", "schedule": TICK_SECONDS, "options": once},
            "nightly": {
                "task": "comention.nightly",
                "schedule": crontab(minute="0", hour=str(settings.work.nightly_hour)),
            },
        },
    )
    return celery


app = make_app()
