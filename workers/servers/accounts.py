"""Which user the embedded servers run as, and how that user reaches what root can reach.

PostgreSQL refuses to run as root, so root drops to an ordinary user. That user may be unable to traverse the folders
above the checkout (a folder in the home of root, say). Two answers, both of them Linux only, as is running a shop as root:
a server is started *inside* its data folder and told that it is `/proc/self/cwd`, which no parent folder can forbid;
and binaries that the user cannot reach are copied once to /var/cache, where only root can write.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CACHE = Path("/var/cache/freshet")
HERE = "/proc/self/cwd"  # a server's own data folder, whatever lies above it


@dataclass(frozen=True, kw_only=True)
class Account:
    """An ordinary user that root drops to."""

    uid: int
    gid: int

    def drop(self) -> None:
        """Become this user for good."""
        os.setgroups([])
        os.setgid(self.gid)
        os.setuid(self.uid)


def server_account() -> Account | None:
    """The user to drop to, or None when this process is an ordinary user already.

    Raises LookupError when root names an unknown user in FRESHET_SERVER_USER (default: nobody).
    """
    if os.geteuid() != 0:
        return None
    name = os.environ.get("FRESHET_SERVER_USER", "nobody")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise LookupError(
            f"PostgreSQL cannot run as root and there is no user {name!r}; set FRESHET_SERVER_USER."
        ) from None
    if entry.pw_uid == 0:
        raise LookupError(f"PostgreSQL cannot run as root; FRESHET_SERVER_USER={name!r} is root as well.")
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def run_as(
    account: Account | None, argv: list[str], *, folder: Path, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command inside a folder as the account; raises CalledProcessError with its output as a note."""
    drop = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
    done = subprocess.run(argv, cwd=folder, input=text, capture_output=True, text=True, check=False, **drop)  # type: ignore[call-overload]
    if done.returncode:
        error = subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
        error.add_note(done.stdout + done.stderr)
        raise error
    assert isinstance(done, subprocess.CompletedProcess)
    return done


def own_folder(folder: Path, account: Account | None) -> Path:
    """Make a private folder (0700) that belongs to the account."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if account:
        os.chown(folder, account.uid, account.gid)
    return folder


def own_file(path: Path, text: str, account: Account | None) -> None:
    """Write a private file (0600) that belongs to the account."""
    path.write_text(text)
    path.chmod(0o600)
    if account:
        os.chown(path, account.uid, account.gid)


def data_folder_name(folder: Path, account: Account | None) -> str:
    """How a server that was started inside its data folder should call it."""
    return HERE if account else str(folder)


def reachable(root: Path, *, parts: tuple[str, ...], binary: str, account: Account | None) -> Path:
    """Return `root`, or a folder with copies of its `parts`, such that the account can run `binary` in it.

    `parts` are the folders that the binary needs, libraries included; those that a platform lacks are passed over.
    """
    if account is None or _can_run(root / binary, account):
        return root
    stamp = f"{root / binary}:{(root / binary).stat().st_mtime_ns}"
    copy = _CACHE / hashlib.sha256(stamp.encode()).hexdigest()[:16]
    if not (copy / binary).exists():
        _copy_readable(root, copy, [part for part in parts if (root / part).exists()])
    return copy


def _can_run(binary: Path, account: Account) -> bool:
    try:
        run_as(account, [str(binary), "--version"], folder=Path("/"))
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def _copy_readable(root: Path, copy: Path, parts: list[str]) -> None:
    draft = copy.with_name(f"{copy.name}.{os.getpid()}")
    for part in parts:
        shutil.copytree(root / part, draft / part, symlinks=True)
    for path in [_CACHE, draft, *draft.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        draft.rename(copy)
    except OSError:  # another start of the same version was faster: its copy is as good
        shutil.rmtree(draft)
