"""Errors that are shown to a user as a line, not as a traceback: all are a `UserError`."""


class UserError(ValueError):
    """Something that the user can mend. The message is a sentence: what, which file or key, what to do."""


class DataError(UserError):
    """A data set that cannot be used; the message lists its `problems`, one a line."""

    def __init__(self, *problems: str):
        super().__init__(*problems)
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class ConfigError(UserError):
    """Parameters that cannot be used; the message names the file or the key, and the fix."""


def one_line(error: object, most: int = 200, end: bool = False) -> str:
    """Return the text of an error on one line: its first `most` characters, or its last ones."""
    text = " ".join(str(error).split())
    return text[-most:] if end else text[:most]
