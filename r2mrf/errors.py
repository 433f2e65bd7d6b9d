"""Errors that a user sees as one line instead of a traceback. All of them are a `UserError`."""

import pickle


class UserError(ValueError):
    """A problem that the user can fix. The message says what is wrong, with which file or key, and what to do."""


class DataError(UserError):
    """A data set that cannot be used. The message lists its `problems`, one per line."""

    def __init__(self, *problems: str):
        super().__init__(*problems)
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class ConfigError(UserError):
    """Parameters that cannot be used. The message names the file or key, and the fix."""


def picklable(error: Exception) -> Exception:
    """Return an error that another process can read: this one, or one with its words. A `UserError` remains one."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # pickling and reading run code of the error's class, which may raise anything
        said = one_line(error, 1000)
        return UserError(said) if isinstance(error, UserError) else RuntimeError(f"{type(error).__name__}: {said}")
    return error


def one_line(error: object, most: int = 200, end: bool = False) -> str:
    """Return the text of an error on one line, cut to its first `most` characters (its last, if `end`)."""
    text = " ".join(str(error).split())
    return text[-most:] if end else text[:most]
