"""What there is to count: entry lists from public sources."""
