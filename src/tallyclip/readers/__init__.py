"""What there is to choose from: pairs out of any table of captions."""
