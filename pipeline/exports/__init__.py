"""Citations and mentions in the formats that others read."""
