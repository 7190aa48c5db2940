"""The only place where ingest, annotate and storage meet: stages, tasks and the command line."""
