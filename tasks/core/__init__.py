"""What every step stands on: rows, the ledger, handles, the step wrapper and its cache, settings, errors.

Nothing goes here that knows a subject: texts, models, the registry.
"""
