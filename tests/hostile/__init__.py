"""The service against its own description: whatever a stranger may send.

`python -m tests.hostile` runs it long; a short form is part of the test run.
"""
