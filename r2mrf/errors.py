"""The one class of errors that are shown to a user as a line, not as a traceback."""


class UserError(ValueError):
    """Something that the user can mend. The message is a sentence: what, which file or key, what to do."""
