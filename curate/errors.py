"""What can go wrong through a user's input, as one hierarchy of one-line messages that say what to do.

The command line prints the message without a traceback and leaves with `exit_code`. Anything
else that escapes is a defect of ours and keeps its traceback.
"""


class ShotcraftError(Exception):
    """Base of all errors that a user can cause and mend."""

    exit_code = 2


class InputError(ShotcraftError):
    """An input is missing, empty or of a kind that the command cannot read."""


class ConfigError(ShotcraftError):
    """A setting is unknown, of the wrong type or out of range."""


class StorageError(ShotcraftError):
    """The disk or the object store refused: no space, no permission, no such place."""


class IntegrityError(ShotcraftError):
    """Stored bytes differ from what their manifest says."""


class MissingToolError(ShotcraftError):
    """A program or an optional package that the command needs is not installed."""


class MemoryLimitError(ShotcraftError):
    """The machine's memory did not suffice; the message says what to lower."""


class QualityError(ShotcraftError):
    """The run ended, but its output fails a stated bound (rejected share, shortcut margin)."""

    exit_code = 3
