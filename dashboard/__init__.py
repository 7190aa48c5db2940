"""Read-only web pages and JSON over the analyst views."""
