"""Which captions match which entries."""
