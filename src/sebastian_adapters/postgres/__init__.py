"""The room repo in PostgreSQL."""
