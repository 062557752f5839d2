"""A web server of files that demands a key, for tests: who asks without one, or with a wrong one, is told what the key
was.

    with keyed(folder) as host:                       # 127.0.0.1:port
        url = f"http://{host}/rows.jsonl?key={KEY}"   # also: http://clerk:KEY@host/rows.jsonl

`/broken/...` answers 500 and `/locked/...` 403 to every key, and both repeat the key in a sentence. `/list/` is a page
for everybody that links the files of the folder, each with the key.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

KEY, NEXT_KEY = "hunter2%2Bdesk", "hunter3%2Bdesk"  # as they stand in a URL
KEYS = ("hunter2+desk", "hunter3+desk")


class Door(SimpleHTTPRequestHandler):
    """Files of a folder for those who have a key."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        key = parse_qs(url.query).get("key", [""])[0] or self._password()
        file = Path(self.directory, url.path.removeprefix("/list").lstrip("/"))
        if url.path == "/list/":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            for one in Path(self.directory).iterdir():
                self.wfile.write(f'<a href="/list/{one.name}?key={KEY}">{one.name}</a>'.encode())
        elif url.path.startswith(("/broken/", "/locked/")) or (file.is_file() and key not in KEYS):
            status = 500 if url.path.startswith("/broken/") else 403
            self.send_error(status, f"The key {key} of {self.path} opens nothing")
        else:
            self.path = f"/{file.name}"
            super().do_GET()

    def _password(self) -> str:
        given = self.headers.get("Authorization", "")
        return next((key for key in KEYS if given == f"Basic {b64encode(f'clerk:{key}'.encode()).decode()}"), "")

    def log_message(self, *_: object) -> None: ...


@contextmanager
def keyed(folder: Path) -> Iterator[str]:
    """Serve `folder`; its host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Door, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
