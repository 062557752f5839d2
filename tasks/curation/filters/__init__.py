"""Filter rules: one file each, or a few that belong together; catalog.py lists them."""
