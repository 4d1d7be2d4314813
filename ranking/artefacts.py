"""Where the towers of major versions lie: files by content hash, in a folder or behind any URL that fsspec opens.

A minor version moves some hundred kilobytes and lies in the database. A major version is two whole towers, which would
double every backup each time: they are files, written once, never changed, checked whenever they are read.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
from django.conf import settings
from fsspec.implementations.local import LocalFileSystem

from eventlog.errors import FreshetError

SUFFIX = ".safetensors"


class ArtefactMissing(FreshetError):
    """The weights of a major version are not where ARTEFACT_URL says."""

    code = "artefact_missing"
    status = 503


class ArtefactDamaged(FreshetError):
    """The weights of a major version are not those whose hash they are filed under."""

    code = "artefact_damaged"
    status = 503


def towers_store(content: bytes) -> str:
    """Keep the bytes of two towers; return their SHA-256. They appear under their name complete or not at all."""
    digest = hashlib.sha256(content).hexdigest()
    system, folder = _store()
    target = f"{folder}/{digest}{SUFFIX}"
    if isinstance(system, LocalFileSystem):
        file_write(Path(target), content)
    elif not system.exists(target):
        system.pipe_file(target, content)  # an object store shows an object when all of it is there
    return digest


def towers_load(digest: str) -> bytes:
    """The bytes of two towers by hash. Raises ArtefactMissing, ArtefactDamaged."""
    system, folder = _store()
    try:
        content = bytes(system.cat_file(f"{folder}/{digest}{SUFFIX}"))
    except FileNotFoundError as error:
        raise ArtefactMissing(
            f"{digest[:12]}{SUFFIX} is not in {settings.ARTEFACT_URL} (ARTEFACT_URL): put it back from a backup, or roll "
            "back to a version of an older major."
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ArtefactDamaged(f"{digest[:12]}{SUFFIX} in {settings.ARTEFACT_URL} has other bytes than its name says.")
    return content


def towers_stored() -> Iterator[tuple[str, int]]:
    """Name and size of every file that is kept."""
    system, folder = _store()
    if system.isdir(folder):
        for each in sorted(system.ls(folder, detail=True), key=lambda file: str(file["name"])):
            if str(each["name"]).endswith(SUFFIX):
                yield str(each["name"]).rpartition("/")[2].removesuffix(SUFFIX), int(each["size"])


def towers_save(folder: Path) -> int:
    """Copy every file that is kept into a folder, unless it is there; return how many bytes. Raises ArtefactDamaged."""
    size = 0
    for digest, _ in list(towers_stored()):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = folder / f"{digest}{SUFFIX}"
        if not target.exists():
            content = towers_load(digest)
            file_write(target, content)
            size += len(content)
    return size


def towers_restore(folder: Path) -> int:
    """Put back what `towers_save` copied and is not kept any more; return how many files. Raises ArtefactDamaged."""
    known, put = {digest for digest, _ in towers_stored()}, 0
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        if file.stem in known:
            continue
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != file.stem:
            raise ArtefactDamaged(f"{file} has other bytes than its name says.")
        towers_store(content)
        put += 1
    return put


def file_write(target: Path, content: bytes) -> None:
    """Write a file that is complete and on the disk before it has its name; what is there already stays."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=".part-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name too
        finally:
            os.close(folder)
    finally:
        Path(draft).unlink(missing_ok=True)


def _store() -> tuple[fsspec.AbstractFileSystem, str]:
    system, path = fsspec.core.url_to_fs(settings.ARTEFACT_URL)
    return system, str(path).rstrip("/")
