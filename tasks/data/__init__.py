"""Reading data: sources, stores, compression, file types, SQL. How a record becomes a row is in formats.

A new file type is a reader in readers.py. What is done with rows afterwards is curation.
"""
