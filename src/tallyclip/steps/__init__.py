"""What is done to pairs between reading and matching: filters, languages, and the ledger of what is dropped."""
