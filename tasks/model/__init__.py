"""The base model: its files, chat template, tool calls and generation, the same in training, evaluation and serving."""
