"""The tests, and what they share: made citations, stand-in servers, real processes."""
