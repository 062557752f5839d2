"""The `assay` command: a module for each command, registered in main.py (of registered models: model_commands.py)."""
