"""The process that gives chats to agents."""
