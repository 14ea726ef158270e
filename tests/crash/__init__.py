"""Every crash point: a real process is SIGKILLed at each step, a fresh one takes over.

`python -m tests.crash` runs them all, and second crashes within the recovery; docs/chaos.md tells
what a point is and what is shown.
"""
