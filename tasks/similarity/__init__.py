"""Texts with texts: near-duplicates, held-out n-grams, vectors. One algorithm a file; none knows what a row is for."""
