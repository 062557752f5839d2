"""What is personal data in a text.

A new finder is a file here with a function from a text to its spans, a `Finder` in FINDERS of finders.py, and its kind
in tasks/core/personal_kinds.py, before the kinds that may stand inside it.
"""
