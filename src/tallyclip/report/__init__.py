"""What came out: the data card and its pictures."""
