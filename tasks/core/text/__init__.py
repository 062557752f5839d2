"""Text as it is read and shown: strict JSON and YAML, control characters, numbers and texts fit to print."""
