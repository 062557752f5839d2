"""What people read: ledger entries in words, charts, examples, suspect rows, review sheets."""
