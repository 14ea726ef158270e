"""What Sebastian knows about chats and agents, as plain values and pure functions."""
