"""The one kind of error that a user's input causes."""


class UsageError(ValueError):
    """Bad input; the message is one line that names the value and says how to mend it.

    Attributes:
        status: the command's exit status.
    """

    status = 2
