"""What may be wrong with a deployment, looked at one area at a time."""
