"""What a contract counts: facts of rows, measured, or taken from the step that knows them.

A new column is a line in COLUMNS of data_contracts/vocabulary.py and its expression in facts.py.
"""
