"""The stages: plain functions that a command, a task and a test call alike. Postgres is the hand-over between them."""
