"""File systems that lack something: a C library between a child process and the system, where a compiler is there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = """
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Fail with the number in the variable `name`, for files below the folder in LACKING. */
static int fails(int descriptor, const char *name) {
    char link[64], path[4096];
    const char *number = getenv(name), *folder = getenv("LACKING");
    if (!number || !folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0 ? atoi(number) : 0;
}

#include <sys/syscall.h>
int flock(int descriptor, int operation) {
    int number = fails(descriptor, "FLOCK_ERRNO");
    if (number) { errno = number; return -1; }
    return syscall(SYS_flock, descriptor, operation);
}
int fsync(int descriptor) {
    int number = fails(descriptor, "FSYNC_ERRNO");
    if (number) { errno = number; return -1; }
    return syscall(SYS_fsync, descriptor);
}
int fdatasync(int descriptor) { return fsync(descriptor); }
"""


def lacking(folder: Path, build: Path, *, flock: int = 0, fsync: int = 0) -> dict[str, str]:
    """Variables with which a child process finds no locks, or no fsync, below `folder`: they fail with these errors."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    library = build / "lacking.so"
    (build / "lacking.c").write_text(_SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(build / "lacking.c")], check=True)
    found = {"LD_PRELOAD": str(library), "LACKING": os.path.realpath(folder)}
    return found | ({"FLOCK_ERRNO": str(flock)} if flock else {}) | ({"FSYNC_ERRNO": str(fsync)} if fsync else {})
