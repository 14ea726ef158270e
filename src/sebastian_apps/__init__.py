"""The programs: they decode, call one use case, and encode."""
