"""What each kind of step hands on beside its data, one small model a kind: written by the step, read by all that follow it.

A file a kind, so that a step's cache key covers the kinds it reads and no other.
"""
