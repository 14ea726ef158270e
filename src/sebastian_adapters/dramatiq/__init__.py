"""The job queue on Dramatiq."""
