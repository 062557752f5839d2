"""What every step shares: errors, the home folder, handles, the ledger, the step wrapper, the prompt format."""
