"""The one family of errors a user can cause or must know about.

Everything the project raises on purpose derives from `DriveGradeError`, so that the command
line can print the message without a traceback and pick an exit code. Anything else that
escapes is a bug of ours and shows its traceback.
"""

from __future__ import annotations


class DriveGradeError(Exception):
    """A condition the user can act on; its text says what, where from, and what to do.

    `exit_code` is what the command line ends with: 1 unless a subclass says otherwise.
    """

    exit_code = 1


class ContractError(DriveGradeError):
    """Rows or columns break a contract of `engine.tables`; nothing of the batch was used."""

    exit_code = 4


class ProfileError(DriveGradeError):
    """A calibration profile is missing, malformed, or would divide by zero."""

    exit_code = 5
