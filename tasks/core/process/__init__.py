"""The process a step runs in: children, hardware, locks, retries, progress, the terminal, the run's page in Prefect."""
