"""What a person can start: one flow a file, each reads like a sentence."""
