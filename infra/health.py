"""Whether a service answers: compose's health checks, as containers and processes run them.

python -m infra.health http://127.0.0.1:4200/api/health    exit code 0 when that address answers with success
python -m infra.health docket                              when Prefect's background services reported lately
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request

from infra.run import environment_of, find_program
from infra.services import Service

SECONDS = 5  # compose.yaml: timeout
DOCKET = "prefect"  # the name that `prefect server services start` works under
SILENT_SECONDS = 60  # its workers report every 2 s


def healthy(service: Service) -> bool:
    """Whether the service's own check passes now. A service without one is healthy when it runs."""
    kind, *words = service.test or ("NONE",)
    if kind == "NONE":
        return True
    if words[:3] == ["python", "-m", "infra.health"]:
        return check(words[-1], dict(service.environment))
    if words[0] == "wget":  # the images of Caddy and SeaweedFS bring busybox's; this machine may have none
        return answers(words[-1])
    environment = environment_of(service)
    command = (
        ["sh", "-c", words[0]] if kind == "CMD-SHELL" else [find_program(words[0], environment["PATH"]), *words[1:]]
    )
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def check(what: str, environment: dict[str, str]) -> bool:
    """`docket`, or an address."""
    return services_report(environment) if what == "docket" else answers(what)


def answers(url: str) -> bool:
    """Whether a GET answers with success within SECONDS; a company's proxy is not asked."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=SECONDS) as answer:
            return bool(answer.status < 400)
    except (OSError, ValueError):
        return False


def services_report(environment: dict[str, str]) -> bool:
    """Whether a process of Prefect's background services wrote its heartbeat to Redis in the last SILENT_SECONDS."""
    from redis import Redis, RedisError

    try:
        with Redis.from_url(environment["PREFECT_SERVER_DOCKET_URL"], socket_timeout=SECONDS) as redis:
            return bool(redis.zcount(f"{DOCKET}:workers", time.time() - SILENT_SECONDS, "+inf"))
    except RedisError:
        return False


if __name__ == "__main__":
    import os

    sys.exit(0 if check(sys.argv[1], dict(os.environ)) else 1)
