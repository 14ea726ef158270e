"""What can be watched: logs, metrics, traces, progress."""
