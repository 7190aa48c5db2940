"""Traces of tasks for an OpenTelemetry collector, where the settings name one; needs the extra ``otel``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from comention import __version__
from comention.errors import SettingsError
from pipeline.progress import Progress

if TYPE_CHECKING:
    from comention.settings import TracingSettings


def start_tracing(settings: TracingSettings) -> Callable[[], None]:
    """Trace every task of this process; return what sends the last spans and ends it.

    Raises:
        SettingsError: the extra is not installed.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.celery import CeleryInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(
            "COMENTION_TRACING__ENDPOINT is set and OpenTelemetry is not installed: install comention[otel], or unset it"
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": "comention", "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.endpoint)))
    trace.set_tracer_provider(provider)
    instrumentor: Any = CeleryInstrumentor  # untyped
    instrumentor().instrument(tracer_provider=provider)

    def stop() -> None:
        instrumentor().uninstrument()
        provider.shutdown()

    return stop


def trace_progress(progress: Progress) -> None:
    """Note what was committed on the span of the task; a listener of `pipeline.progress`."""
    from opentelemetry import trace

    trace.get_current_span().add_event(
        "committed",
        {
            "stage": progress.stage,
            "records": progress.records,
            "sentences": progress.sentences,
            "mentions": progress.mentions,
            "failed": progress.failed,
        },
    )
