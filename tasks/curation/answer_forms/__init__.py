"""The form of a dataset's answers (JSON, labels, lists, prose), and how the step `format` brings an answer into it.

Formats of datasets (OpenAI, Alpaca) are in tasks/data/formats.
"""
