"""What each kind of step hands on beside its data, a small model a kind, written by the step and read by what follows.

A file a kind, so that a step's cache key covers the kinds it reads and no other.
"""
