"""The cache of generated modules: whole entries or none, every damage seen, no trust in others' folders."""

from __future__ import annotations

import ast
import errno
import os
import shutil
import signal
import stat
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from gradc.codegen import cache
from gradc.codegen import load as loading
from gradc.codegen.load import load

from .sample_module import SAMPLE, finish, run, start

KEY = cache.key_of(["a test"])
SOURCE = "def f(x):\n    return x\n"
FILES = {"module.py": SOURCE.encode(), "f.compiled": bytes(range(64))}
NAMES = tuple(FILES)
VALUE = "report(value=float(load(SAMPLE)['value'](x, 0.5)))"
EXPECTED = 15.867617652259083


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for this test alone, with the counters at zero and no warning given yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(cache.VARIABLE, str(folder))
    monkeypatch.setattr(cache, "events", cache.CacheEvents())
    monkeypatch.setattr(cache, "_complaints", [])
    monkeypatch.setattr(cache, "_swept", set())
    return folder


@pytest.fixture(scope="module")
def warm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that another process filled with the compiled sample."""
    folder = tmp_path_factory.mktemp("warm") / "cache"
    reported = run(VALUE, GRADC_CACHE_DIR=str(folder))
    assert reported["events"] == {"hits": 0, "misses": 1, "rebuilt": 0, "stored": 1, "compiled": 3}
    assert reported["value"] == pytest.approx(EXPECTED, rel=1e-15)
    return folder


def test_the_key_holds_every_module_that_rewrites_a_text_before_it_is_compiled() -> None:
    tree = ast.parse(Path(loading.__file__).read_text(encoding="utf-8"))
    beside = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.level == 1]
    used = {f"{node.module or name.name}.py" for node in beside for name in node.names} - {"cache.py"}
    assert "register_tiles.py" in used and used <= {*loading.SHAPING}


def test_what_was_stored_is_found(root: Path) -> None:
    assert cache.find(KEY, NAMES, SOURCE) is None
    cache.store(KEY, FILES)
    assert cache.find(KEY, NAMES, SOURCE) == FILES
    assert cache.cache_events() == {"hits": 0, "misses": 1, "rebuilt": 0, "stored": 1, "compiled": 0}


def test_folder_and_files_are_private(root: Path) -> None:
    cache.store(KEY, FILES)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*"))}
    assert modes == {
        "cache": 0o700,
        KEY: 0o700,
        "module.py": 0o600,
        "f.compiled": 0o600,
        "manifest.json": 0o600,
    }


def test_every_byte_flip_is_detected(root: Path, tmp_path: Path) -> None:
    cache.store(KEY, FILES)
    good = tmp_path / "good"
    shutil.copytree(root / KEY, good)
    flips = [(path.name, at) for path in sorted(good.iterdir()) for at in range(path.stat().st_size)]
    assert len(flips) > 300
    for count, (name, at) in enumerate(flips, 1):
        content = bytearray((good / name).read_bytes())
        content[at] ^= 1 << at % 8
        damaged = root / KEY / name
        damaged.write_bytes(content)
        assert cache.find(KEY, NAMES, SOURCE) is None, (name, at)
        assert cache.events.rebuilt == count
        assert not (root / KEY).exists()
        shutil.copytree(good, root / KEY)
    assert cache.find(KEY, NAMES, SOURCE) == FILES


def test_every_truncation_is_detected(root: Path, tmp_path: Path) -> None:
    cache.store(KEY, FILES)
    good = tmp_path / "good"
    shutil.copytree(root / KEY, good)
    for path in sorted(good.iterdir()):
        content = path.read_bytes()
        for length in range(len(content)):
            (root / KEY / path.name).write_bytes(content[:length])
            assert cache.find(KEY, NAMES, SOURCE) is None, (path.name, length)
            shutil.copytree(good, root / KEY)
        (root / KEY / path.name).write_bytes(content + b"\0")
        assert cache.find(KEY, NAMES, SOURCE) is None, path.name
        shutil.copytree(good, root / KEY)
    assert cache.find(KEY, NAMES, SOURCE) == FILES


@pytest.mark.parametrize("missing", [*NAMES, cache.MANIFEST])
def test_missing_file_is_detected(root: Path, missing: str) -> None:
    cache.store(KEY, FILES)
    (root / KEY / missing).unlink()
    assert cache.find(KEY, NAMES, SOURCE) is None
    assert cache.events.rebuilt == 1
    cache.store(KEY, FILES)
    assert cache.find(KEY, NAMES, SOURCE) == FILES


def test_entry_of_another_text_is_not_used(root: Path) -> None:
    cache.store(KEY, FILES)
    assert cache.find(KEY, NAMES, SOURCE + "\n") is None
    assert cache.events.rebuilt == 1


def test_entry_copied_to_another_name_is_not_used(root: Path) -> None:
    cache.store(KEY, FILES)
    other = cache.key_of(["another test"])
    shutil.copytree(root / KEY, root / other)
    assert cache.find(other, NAMES, SOURCE) is None
    assert cache.find(KEY, NAMES, SOURCE) == FILES


@pytest.mark.parametrize("what", ["symlink", "pipe", "writable", "folder"])
def test_planted_file_is_not_used(root: Path, tmp_path: Path, what: str) -> None:
    cache.store(KEY, FILES)
    target = root / KEY / "f.compiled"
    if what == "writable":
        target.chmod(0o666)
    else:
        target.rename(tmp_path / "elsewhere")
    if what == "symlink":
        target.symlink_to(tmp_path / "elsewhere")
    if what == "pipe":
        os.mkfifo(target)
    if what == "folder":
        target.mkdir()
    assert cache.find(KEY, NAMES, SOURCE) is None
    assert cache.events.rebuilt == 1


def test_planted_entry_folder_is_replaced(root: Path, tmp_path: Path) -> None:
    cache.store(KEY, FILES)
    (root / KEY).rename(tmp_path / "elsewhere")
    (root / KEY).symlink_to(tmp_path / "elsewhere")
    assert cache.find(KEY, NAMES, SOURCE) is None
    cache.store(KEY, FILES)
    assert not (root / KEY).is_symlink()
    assert (tmp_path / "elsewhere" / "module.py").exists()  # what the link pointed to is left alone
    assert cache.find(KEY, NAMES, SOURCE) == FILES


def test_loser_of_a_race_leaves_the_winner(root: Path) -> None:
    cache.store(KEY, FILES)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    cache.store(KEY, {**FILES, "f.compiled": b"other"})
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert cache.events.stored == 1


def refuse(root: Path, reason: str) -> None:
    """The cache gives nothing and keeps nothing, and says so exactly once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert cache.find(KEY, NAMES, SOURCE) is None
        cache.store(KEY, FILES)
        assert cache.find(KEY, NAMES, SOURCE) is None
    (warning,) = caught
    assert warning.category is cache.CacheWarning
    assert reason in str(warning.message)
    assert "GRADC_CACHE_DIR" in str(warning.message)
    assert not (root / KEY).exists()


def test_symlinked_root_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    root.symlink_to(tmp_path / "elsewhere")
    refuse(root, "is a symbolic link")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_root_that_others_may_write_is_refused(root: Path, mode: int) -> None:
    root.mkdir()
    root.chmod(mode)
    refuse(root, "can be written by others")


def test_foreign_root_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir(mode=0o700)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    refuse(root, "belongs to another user")


def test_foreign_entry_is_not_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store(KEY, FILES)
    real = os.lstat

    def lstat(path: Path) -> os.stat_result:
        status = real(path)
        foreign = os.stat_result((*status[:4], status.st_uid + 1, *status[5:]))
        return foreign if Path(path).name == KEY else status

    monkeypatch.setattr(os, "lstat", lstat)
    assert cache.find(KEY, NAMES, SOURCE) is None
    assert cache.events.rebuilt == 1


def test_file_in_the_place_of_the_root_is_refused(root: Path) -> None:
    root.write_text("")
    refuse(root, "is not a folder")


def test_root_that_cannot_be_made_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.write_text("")
    monkeypatch.setenv(cache.VARIABLE, str(root / "below"))
    refuse(root / "below", "cannot be used")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_folder_that_cannot_be_written_leads_to_one_warning(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fsync(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    refuse(root, os.strerror(code))
    assert list(root.iterdir()) == []


def test_user_without_home_folder_has_no_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *args, **options: "~/.cache/gradc")
    refuse(root, "no home folder")


@pytest.mark.parametrize("value", ["", "off", " off "])
def test_cache_is_switched_off_quietly(root: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(cache.VARIABLE, value)
    with warnings.catch_warnings(record=True) as caught:
        cache.store(KEY, FILES)
        assert cache.find(KEY, NAMES, SOURCE) is None
    assert caught == []
    assert not root.exists()


def test_default_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    wanted = cache.wanted_root()
    assert wanted is not None
    assert wanted.name == "gradc"


def test_remains_of_killed_processes_are_removed(root: Path) -> None:
    root.mkdir(mode=0o700)
    old, fresh = root / ".writing-old", root / ".writing-fresh"
    for folder in (old, fresh):
        folder.mkdir()
        (folder / "module.py").write_text("")
    past = time.time() - 7200
    os.utime(old, (past, past))
    cache.store(KEY, FILES)
    assert sorted(path.name for path in root.iterdir()) == [".writing-fresh", KEY]


def test_killed_before_the_rename_leaves_no_entry(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    body = """
cache.os.rename = lambda *paths: os.kill(os.getpid(), 9)
cache.store(cache.key_of(["a test"]), {"module.py": b"text"})
"""
    process = start(body, GRADC_CACHE_DIR=str(folder))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    (left,) = folder.iterdir()
    assert left.name.startswith(".writing-")
    assert sorted(path.name for path in left.iterdir()) == ["manifest.json", "module.py"]


def test_second_process_loads_without_compiling(warm_folder: Path) -> None:
    reported = run(VALUE, GRADC_CACHE_DIR=str(warm_folder))
    assert reported["events"] == {"hits": 1, "misses": 0, "rebuilt": 0, "stored": 0, "compiled": 0}
    assert reported["value"] == pytest.approx(EXPECTED, rel=1e-15)


def test_damaged_compiled_code_never_reaches_numba(
    warm_folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(warm_folder, root)
    root.chmod(0o700)
    (compiled,) = root.glob("*/value.compiled")
    content = bytearray(compiled.read_bytes())
    content[len(content) // 2] ^= 1
    compiled.write_bytes(content)
    first = run(VALUE, GRADC_CACHE_DIR=str(root))
    assert first["events"] == {"hits": 0, "misses": 0, "rebuilt": 1, "stored": 1, "compiled": 3}
    second = run(VALUE, GRADC_CACHE_DIR=str(root))
    assert second["events"] == {"hits": 1, "misses": 0, "rebuilt": 0, "stored": 0, "compiled": 0}
    assert first["value"] == second["value"] == pytest.approx(EXPECTED, rel=1e-15)


def test_entry_that_does_not_unpickle_is_rebuilt(
    warm_folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = (path for path in warm_folder.iterdir() if not path.name.startswith("."))
    names = ("module.py", "value.compiled", "value_and_grad_into.compiled", "value_and_grad.compiled")
    files = {name: (entry / name).read_bytes() for name in names}
    cache.store(entry.name, {**files, "value_and_grad.compiled": b"verified, yet no pickle"})
    monkeypatch.setattr("gradc.codegen.load._loaded", {})
    functions = load(SAMPLE)
    assert functions["value"](np.arange(1.0, 5.0), 0.5) == pytest.approx(EXPECTED, rel=1e-15)
    assert cache.events.rebuilt == 1
    assert cache.events.hits == 0
    assert cache.find(entry.name, names, SAMPLE.source) is not None


def test_processes_racing_on_a_cold_cache_all_get_right_results(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    # All wait for the same moment, so that they find the cache empty together.
    wait = f"import time, numba; time.sleep(max(0.0, {time.time() + 3.0} - time.time()))\n"
    processes = [start(wait + VALUE, GRADC_CACHE_DIR=str(folder)) for _ in range(8)]
    reports = [finish(process) for process in processes]
    assert [report["value"] for report in reports] == [pytest.approx(EXPECTED, rel=1e-15)] * 8
    assert sum(report["events"]["stored"] for report in reports) == 1
    assert sum(report["events"]["rebuilt"] for report in reports) == 0
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
