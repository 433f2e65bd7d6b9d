"""A web server of the tests' own, on loopback, some of whose pages never end."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def web_server(files: dict[str, bytes]) -> Iterator[str]:
    """Run a server and return its host:port. It has these files, by path, and

    /endless: bytes without end and without a length; /drip: a byte a tenth of a second; /silent: no answer;
    /to/URL: a redirection there; /uri/URL: the same by an old header that aiohttp follows; /short: ends early.
    """
    end = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/silent":
                end.wait(60)
            elif path.startswith(("/to/", "/uri/")):
                header, _, target = path[1:].partition("/")
                self.send_response(302)
                self.send_header({"to": "Location", "uri": "URI"}[header], target)
                self.end_headers()
            elif path in ("/endless", "/drip", "/short"):
                self.send_response(200)
                if path == "/short":
                    self.send_header("Content-Length", "1000")
                self.end_headers()
                self._send(path)
            else:
                data = files.get(path)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"" if self.command == "GET" else b"")

        def _send(self, path: str) -> None:
            if path == "/short":
                self.wfile.write(b"1")
                return
            try:
                while not end.is_set():
                    self.wfile.write(bytes(1 << 20) if path == "/endless" else b"1")
                    time.sleep(0 if path == "/endless" else 0.1)
            except OSError:  # the client has gone
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        end.set()
        server.shutdown()
        server.server_close()
