"""The errors a user may meet. Each message is one sentence that names what is wrong and what to do about it.

A command prints the message and exits with status 1 (2 for a usage error); a traceback is a defect.
"""

from __future__ import annotations


class ComentionError(Exception):
    """Base of every error this project raises on purpose."""

    retryable = False
    """True where the same call may succeed later without anybody changing anything."""


class SettingsError(ComentionError):
    """A setting is missing or has a value that cannot be used."""


class SourceError(ComentionError):
    """A file or folder of records cannot be read, or ends before it should."""


class SourceBusyError(SourceError):
    """Another process is bringing in the same source."""

    retryable = True


class FetchError(ComentionError):
    """NCBI did not answer, or refused the request."""


class RetryableFetchError(FetchError):
    """NCBI could not answer just now: too many requests, a server error, a broken connection."""

    retryable = True


class AnnotatorError(ComentionError):
    """An annotator cannot be found, loaded or trained."""


class DatabaseError(ComentionError):
    """The database cannot be reached or refuses to work."""


class RetryableDatabaseError(DatabaseError):
    """The database could not do it just now: a deadlock, a lock that is held, a server that is starting."""

    retryable = True


class StatementTimeoutError(DatabaseError):
    """The database stopped a statement because it took longer than it may."""


class SchemaError(DatabaseError):
    """The database is empty, or at another schema than this version of comention."""


class DiskFullError(DatabaseError):
    """There is no room left where the database keeps its data."""


class ExportError(ComentionError):
    """What was asked for cannot be exported, or its file cannot be written."""


class EmbeddedServerError(ComentionError):
    """The embedded Postgres or Valkey cannot be started."""


class ServeError(ComentionError):
    """The dashboard cannot be served as it was asked for."""
