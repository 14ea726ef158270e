"""Everything on one machine with nothing installed."""
