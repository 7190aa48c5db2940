"""Measurements that end with a table, and with status 1 where a target is missed."""
