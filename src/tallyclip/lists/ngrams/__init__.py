"""How often words and pairs of neighboring words occur in texts of any size: counted, merged and ranked."""
