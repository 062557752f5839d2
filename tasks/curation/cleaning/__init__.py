"""Cleaning of texts: one kind of repair a file; each leaves alone what a text may be about (code.py, subject.py)."""
