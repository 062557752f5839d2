"""What is personal data in a text.

A new finder is a file here, a line in FINDERS of finders.py, and its kind in tasks/core/personal_kinds.py.
"""
