"""The controlled experiment: models that differ in their data alone, trained and evaluated by the commands' own code, and compared."""
