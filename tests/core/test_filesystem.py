"""Locks between processes, lock files that are removed or replaced while a process waits, and names of one file."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reve_cli.core.filesystem import FileLock, SameNames

WAIT_SECONDS = 10.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def held(path: Path) -> Iterator[FileLock]:
    lock = FileLock(path)
    assert lock.take()
    yield lock
    lock.close()


def in_background(lock: FileLock) -> "tuple[threading.Thread, list[bool]]":
    """A thread that waits for `lock`, and its answer."""
    answer: list[bool] = []
    thread = threading.Thread(target=lambda: answer.append(lock.take(seconds=WAIT_SECONDS)))
    thread.start()
    return thread, answer


def test_a_lock_can_be_shared_or_exclusive(path: Path) -> None:
    first, second = FileLock(path), FileLock(path)
    assert first.take(shared=True)
    assert second.take(shared=True)
    if os.name != "nt":
        assert not second.take()
    first.close()
    assert second.take()
    second.close()


def test_a_lock_that_another_holds_is_not_had_and_its_file_is_not_removed(held: FileLock, path: Path) -> None:
    other = FileLock(path)
    assert not other.take(seconds=0.05)
    other.close(remove=True)
    assert path.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove an open file")
def test_a_process_waiting_for_a_file_that_is_removed_locks_a_new_one(held: FileLock, path: Path) -> None:
    waiting = FileLock(path)
    thread, answer = in_background(waiting)
    held.close(remove=True)
    thread.join()
    assert answer == [True]
    third = FileLock(path)
    assert not third.take()  # the file that has the name now is the one that is locked
    third.close()
    waiting.close(remove=True)
    assert not path.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove an open file")
def test_a_process_waiting_for_a_file_that_is_replaced_waits_for_the_new_one(held: FileLock, path: Path) -> None:
    waiting, replacement = FileLock(path), FileLock(path.with_name("replacement"))
    assert replacement.take()
    os.replace(path.with_name("replacement"), path)
    held.close()
    assert not waiting.take(seconds=0.05)
    thread, answer = in_background(waiting)
    replacement.close()
    thread.join()
    assert answer == [True]
    waiting.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove an open file")
def test_a_removed_file_that_is_still_locked_keeps_nobody_waiting(held: FileLock, path: Path) -> None:
    waiting = FileLock(path)
    path.unlink()
    assert waiting.take()
    waiting.close()


def test_a_folder_shows_which_names_are_one_file_and_keeps_no_file_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    found = SameNames.of(str(folder / "not" / "yet"))
    assert list(folder.iterdir()) == []
    (folder / "a\u00e9").touch()
    assert found.case == (folder / "A\u00e9").exists()
    assert found.form == (folder / "ae\u0301").exists()


def test_where_no_file_can_be_created_the_operating_system_decides(tmp_path: Path) -> None:
    usual = SameNames()
    assert SameNames.of(str(tmp_path / ("n" * 200)) + "\0") == usual
    assert SameNames.of("/proc" if os.path.isdir("/proc") else "/dev/fd") == usual
