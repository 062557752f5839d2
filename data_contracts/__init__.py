"""What data must be: contracts in YAML that a data team edits, and the model that reads them."""
