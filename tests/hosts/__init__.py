"""Several hosts on one machine: network namespaces, real processes in them, and links that break.

`python -m tests.hosts` runs it as root; docs/scaling.md tells what it shows.
"""
