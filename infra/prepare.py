"""The one-shot steps before the servers start: their databases and owners, and the artifact store's bucket. Safe to
repeat.

python -m infra.prepare databases | bucket
"""

from __future__ import annotations

import os
import sys
from typing import Any

DATABASES = {"prefect": "prefect", "mlflow": "mlflow", "mlflow_auth": "mlflow"}  # database -> owner
PASSWORDS = {"prefect": "PREFECT_DB_PASSWORD", "mlflow": "MLFLOW_DB_PASSWORD"}


def databases() -> None:
    """Make each owner and database that is not there, and give each owner the password of the settings."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(autocommit=True) as connection:  # PGHOST, PGPORT, PGUSER and PGPASSWORD say where and who
        for owner, variable in PASSWORDS.items():
            there = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [owner]).fetchone()
            statement = "ALTER ROLE {} PASSWORD {}" if there else "CREATE ROLE {} LOGIN PASSWORD {}"
            connection.execute(sql.SQL(statement).format(sql.Identifier(owner), os.environ[variable]))
        for name, owner in DATABASES.items():
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                made = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner))
                connection.execute(made)
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def bucket() -> None:
    """Make the bucket unless it is there."""
    client, name = s3_client(), os.environ["S3_BUCKET"]
    if name not in [found["Name"] for found in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=name)


def s3_client() -> Any:
    """A client of the artifact store, by MLflow's own variables."""
    import boto3
    from botocore.config import Config

    settings = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 5, "mode": "standard"})
    return boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"], config=settings)


if __name__ == "__main__":
    {"databases": databases, "bucket": bucket}[sys.argv[1]]()
