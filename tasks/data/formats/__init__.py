"""Formats of other tools' files, read and written: one file each; catalog.py lists them."""
