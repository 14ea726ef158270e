"""What Sebastian decides: pure rules, the ports it needs, and its use cases."""
