"""How often words, and pairs of neighbouring words, come in texts of any size: counted, merged and ranked."""
