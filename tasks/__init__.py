"""The steps of a run: one verb a file, in the order the data meets them (see flows/retrain.py)."""
