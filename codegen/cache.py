"""The private cache of generated modules: one folder an entry, verified byte by byte before use.

An entry is named by a hash of all that its compiled code depends on. It holds the module's text, the
compiled code of each function and a manifest with the length and sha256 of every file. Compiled code
is a pickle, so whoever can write it runs code as the user: the folder is the user's own (mode 0700,
owner checked, no symbolic links), and nothing is unpickled that was not verified. An entry is written
aside and renamed, so that it is there whole or not at all; whoever loses a race uses the winner's;
nothing is ever rewritten, a damaged entry is put away and made again. Where no such folder can be had,
everything works without a cache after one warning. Takes and gives bytes under a key; what they mean
is the loader's business.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "GRADC_CACHE_DIR"
MANIFEST = "manifest.json"
_WRITING, _DAMAGED = ".writing-", ".damaged-"  # no key starts with a full stop
_STALE_SECONDS = 3600.0
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class CacheWarning(UserWarning):
    """gradc works without its cache of compiled functions, and says why."""


class _DamagedError(Exception):
    """An entry that cannot be trusted."""


@dataclass
class CacheEvents:
    """What the cache did in this process.

    Attributes:
        hits: modules loaded from the cache without compiling anything.
        misses: modules that had no entry and were compiled.
        rebuilt: modules whose entry was damaged and which were compiled again.
        stored: entries written.
        compiled: functions compiled, with or without a cache.
    """

    hits: int = 0
    misses: int = 0
    rebuilt: int = 0
    stored: int = 0
    compiled: int = 0


events = CacheEvents()
_complaints: list[str] = []  # at most one a process
_swept: set[str] = set()


def cache_events() -> dict[str, int]:
    """Counters of what the cache did in this process; see `CacheEvents` for their names."""
    return asdict(events)


def key_of(parts: object) -> str:
    """Name of the entry that depends on `parts`, a JSON value: 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def wanted_root() -> Path | None:
    """The folder that the environment asks for, or None where it switches the cache off.

    GRADC_CACHE_DIR names the folder; empty or "off" means no cache; without it the user's cache folder
    of the platform is taken. The folder may not exist yet, and need not be fit for use.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen is None:
        import platformdirs

        return Path(platformdirs.user_cache_dir("gradc", appauthor=False))
    return None if chosen.strip() in {"", "off"} else Path(os.path.abspath(Path(chosen).expanduser()))


def usable_root() -> Path | None:
    """The cache's folder, made if it is missing; None, with one warning, where it cannot be trusted."""
    root = wanted_root()
    if root is None:
        return None
    try:
        if not root.is_absolute():
            raise _DamagedError("the user has no home folder")
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check(os.lstat(root), str(root), directory=True)
    except FileExistsError:
        _warn(f"{root} is not a folder")
    except OSError as error:
        _warn(f"{root} cannot be used ({error.strerror or error})")
    except _DamagedError as error:
        _warn(str(error))
    else:
        return root
    return None


def find(key: str, names: tuple[str, ...], source: str) -> dict[str, bytes] | None:
    """The verified files of an entry.

    Args:
        key: the entry's name.
        names: the files it must hold.
        source: what its `module.py` must say.

    Returns:
        name -> bytes, or None if there is no such entry or it was damaged (and is now put away).
        Counts a miss or a rebuilt entry; a hit is counted by the loader once the code is in place.
    """
    root = usable_root()
    if root is None:
        events.misses += 1
        return None
    try:
        files = _read(root / key, key, names)
        if files["module.py"] != source.encode():
            raise _DamagedError("module.py is not the text it should be")
    except FileNotFoundError:
        events.misses += 1
    except (OSError, _DamagedError):
        discard(key)
    else:
        return files
    return None


def discard(key: str) -> None:
    """Put a damaged entry away, so that it is made again. Counts a rebuilt entry."""
    events.rebuilt += 1
    root = usable_root()
    if root is None:
        return
    aside = root / f"{_DAMAGED}{secrets.token_hex(8)}"
    with contextlib.suppress(OSError):
        os.rename(root / key, aside)
        _remove(aside)


def store(key: str, files: dict[str, bytes]) -> None:
    """Write an entry aside and rename it to its name; keep the one there is if another was faster.

    Args:
        key: the entry's name.
        files: its files, without the manifest.

    A folder that cannot be written or a full disk leads to one warning and no entry.
    """
    root = usable_root()
    if root is None:
        return
    aside = None
    try:
        _sweep(root)
        aside = Path(tempfile.mkdtemp(prefix=_WRITING, dir=root))
        for name, content in {**files, MANIFEST: _manifest(key, files)}.items():
            _write(aside / name, content)
        _sync_folder(aside)
        if _rename(aside, root / key):
            _sync_folder(root)
            events.stored += 1
    except OSError as error:
        _warn(f"{root} cannot be written ({error.strerror or error})")
    finally:
        if aside is not None:
            _remove(aside)


def _check(status: os.stat_result, what: str, *, directory: bool) -> None:
    """Refuse what is a symbolic link or special file, belongs to another user, or others may write."""
    if stat.S_ISLNK(status.st_mode):
        raise _DamagedError(f"{what} is a symbolic link")
    if stat.S_ISDIR(status.st_mode) != directory or not (directory or stat.S_ISREG(status.st_mode)):
        raise _DamagedError(f"{what} is not a {'folder' if directory else 'file'}")
    if not hasattr(os, "geteuid"):  # Windows: the user's profile is private by its own rules
        return
    if status.st_uid != os.geteuid():
        raise _DamagedError(f"{what} belongs to another user")
    if status.st_mode & _OTHERS_MAY_WRITE:
        raise _DamagedError(f"{what} can be written by others (mode {stat.S_IMODE(status.st_mode):o})")


def _read(folder: Path, key: str, names: tuple[str, ...]) -> dict[str, bytes]:
    """Every named file of an entry, or an error if anything about the entry is not as it was written."""
    _check(os.lstat(folder), str(folder), directory=True)
    try:
        manifest = _read_file(folder / MANIFEST)
        files = {name: _read_file(folder / name) for name in names}
    except FileNotFoundError as error:
        raise _DamagedError(f"{folder} is incomplete: {error}") from None
    # The manifest is a function of key and files: any bit of any of them that changed makes it differ.
    if manifest != _manifest(key, files):
        raise _DamagedError(f"{folder} does not agree with its manifest")
    return files


def _read_file(path: Path) -> bytes:
    # Not blocking, so that a named pipe in a file's place is refused instead of waited for.
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    with open(os.open(path, flags), "rb") as file:
        _check(os.fstat(file.fileno()), str(path), directory=False)
        return file.read()


def _manifest(key: str, files: dict[str, bytes]) -> bytes:
    """The manifest's text: the same bytes whenever key and files are the same."""
    entries = {
        name: {"length": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    }
    return (json.dumps({"files": entries, "key": key}, indent=1, sort_keys=True) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _rename(aside: Path, place: Path) -> bool:
    """Give an entry its name; False if there is one of that name already (or was a moment ago)."""
    try:
        os.rename(aside, place)
    except OSError as error:
        taken = error.errno in {errno.EEXIST, errno.ENOTEMPTY}
        if taken or (os.name == "nt" and place.is_dir()):  # Windows says that access is denied
            return False
        raise
    return True


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Remove a folder, or whatever else stands in its place, as far as that is allowed."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Once a process, remove what killed processes left behind."""
    if str(root) in _swept:
        return
    _swept.add(str(root))
    for path in root.iterdir():
        if path.name.startswith((_WRITING, _DAMAGED)):
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > _STALE_SECONDS:
                    _remove(path)


def _warn(reason: str) -> None:
    """Say once in a process why there is no cache."""
    if _complaints:
        return
    _complaints.append(reason)
    warnings.warn(
        f"gradc works without its cache of compiled functions: {reason}. "
        f"Set {VARIABLE} to a folder that only you can write, or to 'off' to do without one.",
        CacheWarning,
        stacklevel=2,
    )
