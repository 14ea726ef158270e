"""Who may ask: admin tokens, and the floor page's cookie with its CSRF token."""
