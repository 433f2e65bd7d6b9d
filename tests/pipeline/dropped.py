"""A Ctrl-C that Python drops."""

import os
import signal


class _Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # the handler is called between two of these
            pass


def drop_ctrl_c() -> None:
    """Ctrl-C while a finalizer runs: what it raises there Python only prints."""
    thing = _Finalized()
    del thing
