"""An error that does not survive the way from one process to another."""

from r2mrf.errors import UserError


class OddError(UserError):
    """An error that is pickled without complaint, and then cannot be read again."""

    def __init__(self, path: str, why: str):
        super().__init__(f"{path}: {why}")
