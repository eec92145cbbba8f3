"""Who names what: texts against entries."""
