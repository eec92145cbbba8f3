"""Entry lists from public sources."""
