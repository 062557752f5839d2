"""What advise says of a dataset: one topic a function, which returns a finding with row ids; advise.py calls each."""
