"""The agent store in Redis."""
