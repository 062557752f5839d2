"""What every flow has: parameters as forms show them, final states, the outcome's page, one run a model at a time."""

LONGEST_REASON = 1000  # characters: an entry of the promotion ledger holds 6000
