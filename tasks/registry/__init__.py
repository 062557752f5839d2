"""MLflow's registry: versions, evidence, packaging, the promotion ledger; what the stages of a release share."""
