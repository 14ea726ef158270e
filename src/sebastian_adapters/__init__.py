"""The ports of the core, carried out by one technology each."""
