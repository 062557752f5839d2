"""The stage that makes a dataset of raw files: one step a file, in the order of flows/curate.py.

A filter rule goes into filters, advice on a whole dataset into advice; answer_forms is what the step `format` uses.
"""
