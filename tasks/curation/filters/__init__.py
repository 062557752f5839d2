"""What filter judges rows by: one module a rule, or a few that belong together; filter.py lists
them and what they do.
"""
