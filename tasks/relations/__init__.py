"""Rows with rows: duplicates, contradictions, leaks, labels: what a step and a contract both ask stands here once."""
