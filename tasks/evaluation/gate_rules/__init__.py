"""What a gate may ask of a model: one file a rule, each listed once in the catalog here."""
