"""The floor page: who waits, who serves, what was decided and why, as it happens."""
