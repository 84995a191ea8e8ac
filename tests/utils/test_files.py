import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.disk import small_disk

from pipeline import UserError
from pipeline.export.transformers import require_replaceable
from pipeline.utils.files import (
    folder_atomic,
    open_all_atomic,
    open_atomic,
    require_empty,
    require_writable,
    write_atomic,
)


def test_the_new_content_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    for content in ("old", "new"):
        with open_atomic(path) as temporary:
            temporary.write_text(content)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_after_an_error_only_the_old_content_remains(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), open_atomic(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_disk_full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", raise_disk_full)
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UserError, match="the disk is full: free some space"), open_atomic(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "old"


def test_a_real_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    with small_disk(tmp_path, 64):
        path = tmp_path / "solution.csv"
        path.write_text("old")
        fault = r"solution\.csv: cannot be written: the disk is full"
        with pytest.raises(UserError, match=fault), open_atomic(path) as temporary:
            temporary.write_bytes(bytes(1_000_000))
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]


def test_a_process_killed_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "solution.csv"
    path.write_text("old")
    program = (
        "import sys, os, signal, pathlib, numpy as np\n"
        "from pipeline.kaggle.solution import write_solution\n"
        "def digits():\n"
        "    yield np.arange(10)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_solution(pathlib.Path(sys.argv[1]), digits())\n"
    )
    completed = subprocess.run([sys.executable, "-c", program, path], check=False)
    assert completed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    write_atomic(path, b"new")
    assert list(tmp_path.iterdir()) == [path], "the next run deletes what the killed one has left"


def test_what_a_killed_process_left_is_deleted_whatever_the_name_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "laptop-1.example.org")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    left = tmp_path / f".a.csv.laptop-1.example.org-{process.pid}.0123abcd.part"
    left.touch()
    write_atomic(tmp_path / "a.csv", b"new")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.csv"]


def test_the_current_folder_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for check in (require_empty, require_replaceable):
        with pytest.raises(UserError, match=r"^\.: cannot be replaced; name a new folder"):
            check(Path())


def test_only_abandoned_temporary_files_are_deleted(tmp_path: Path) -> None:
    path = tmp_path / "[a]"
    with open_atomic(path) as unfinished:
        unfinished.write_text("of a running process")
        other = tmp_path / ".[a].another-machine-1.0123.part"
        old = tmp_path / ".[a].another-machine-1.4567.part"
        for each in (other, old):
            each.mkdir()
        os.utime(old, (0, 0))
        with folder_atomic(path) as folder:
            assert set(tmp_path.iterdir()) == {unfinished, other, folder}
        path.rmdir()
    assert path.read_text() == "of a running process"


def test_several_files_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text("old")
    with pytest.raises(UserError, match="the disk is full"), open_all_atomic(*paths) as (first, second):
        first.write_text("new")
        second.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [path.read_text() for path in paths] == ["old", "old"]
    with open_all_atomic(*paths) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
    assert [path.read_text() for path in paths] == ["new", "new"]
    assert sorted(tmp_path.iterdir()) == paths


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


def test_require_writable_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a folder with that name exists"):
        require_writable(tmp_path)
    require_writable(tmp_path / "new folder" / "file")
    assert list((tmp_path / "new folder").iterdir()) == []
