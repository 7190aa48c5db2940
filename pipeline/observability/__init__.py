"""What workers tell of themselves: logs, metrics, traces."""
