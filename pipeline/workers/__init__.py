"""What Celery's workers do: jobs, claims of work for a time, the sweep, the upkeep of every night. Tasks only call it."""
