"""What Sebastian does, one verb a file."""
