"""The routes of the webhook service: each decodes, calls one use case, encodes."""
