"""The Python process itself: its watchdog and its garbage collector."""
