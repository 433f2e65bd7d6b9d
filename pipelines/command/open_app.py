"""`r2mrf app`: a page on this machine to look at photos one by one."""

from __future__ import annotations

import argparse
import socket

from pipelines.command.failures import DONE
from pipelines.command.terminal import say


def open_app(options: argparse.Namespace) -> int:
    """Run `r2mrf app`: serve the page to this machine until Ctrl-C.

    Raises:
        UserError: the port is taken, or there is no such model.
    """
    from pipelines.command.map_photos import load_analyser

    analyser = load_analyser(options.model)  # first: that a model does not exist is said in every installation
    import uvicorn

    from pipelines.app.open_photos import OpenPhotos
    from pipelines.app.server import application

    with _listening(options.port) as listener:
        photos = OpenPhotos(analyser)
        server = uvicorn.Server(uvicorn.Config(application(photos), log_level="warning", server_header=False))
        say(f"open http://127.0.0.1:{listener.getsockname()[1]} in a browser on this machine; Ctrl-C ends the app")
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn has closed its connections
            pass
        finally:
            photos.close()
    return DONE


def _listening(port: int) -> socket.socket:
    from r2mrf.errors import UserError

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))  # this machine alone
        listener.listen()  # from now on requests wait until the server takes them
    except OSError as error:
        listener.close()
        raise UserError(f"port {port}: {error.strerror}; give another --port, or 0 for any free one") from None
    return listener
