"""A folder to be put on PYTHONPATH."""
