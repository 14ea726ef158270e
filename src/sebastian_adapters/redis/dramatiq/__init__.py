"""The job queue on Dramatiq, whose messages are in Redis."""
