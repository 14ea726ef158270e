"""A policy of the user's own: loaded, tried, timed, and put aside if it hangs."""
