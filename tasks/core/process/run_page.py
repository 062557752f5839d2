"""What a run shows on its page in Prefect: worth some waiting for a server that restarts, and never worth the work
itself.

show(create_table_artifact, table=rows, key="check", description="...")
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

# A client that was never connected gives up at once, which is Prefect's rule; a server of the stack is back in 20 to 60
# s.
WAITS = (2.0, 4.0, 8.0, 16.0, 32.0)


def show(create: Callable[..., Any], /, **what: Any) -> None:
    """Create an artifact. A Prefect server that stays away for a minute costs the page this part, with a line in the
    log.
    """
    import httpx

    for wait in (*WAITS, 0.0):
        try:
            create(**what)
            return
        except httpx.HTTPError as error:
            refused = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
            if refused or not wait:
                logging.getLogger(__name__).warning("not shown on the run's page: %s: %s", what.get("key"), error)
                return
            time.sleep(wait)
