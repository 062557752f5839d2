"""Prefect and MLflow, embedded or named by the user: environment, start of a flow, deployments and automations."""
