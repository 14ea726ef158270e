"""The same truth everywhere: what page, commands, probes and alerts say of one situation."""
