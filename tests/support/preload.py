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
#include <fcntl.h>
#include <stdarg.h>
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

/* Whether the name of a path in LACKING is longer than NAME_LIMIT. */
static int is_long(const char *path) {
    const char *limit = getenv("NAME_LIMIT"), *folder = getenv("LACKING"), *name = strrchr(path, '/');
    char parent[4096], real[4096];
    if (!limit || !folder) return 0;
    snprintf(parent, sizeof parent, "%.*s", name ? (int)(name - path) : 1, name ? path : ".");
    if (!realpath(*parent ? parent : "/", real) || strncmp(real, folder, strlen(folder))) return 0;
    if (strlen(name ? name + 1 : path) <= strtoul(limit, 0, 10)) return 0;
    errno = ENAMETOOLONG;
    return 1;
}
long pathconf(const char *path, int name) {
    char real[4096];
    const char *limit = getenv("NAME_LIMIT"), *folder = getenv("LACKING");
    if (limit && realpath(path, real) && !strncmp(real, folder, strlen(folder))) return strtol(limit, 0, 10);
    return 255;
}
int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    return is_long(path) ? -1 : syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
int link(const char *old, const char *new) {
    return is_long(new) ? -1 : syscall(SYS_linkat, AT_FDCWD, old, AT_FDCWD, new, 0);
}
int rename(const char *old, const char *new) {
    return is_long(new) ? -1 : syscall(SYS_renameat2, AT_FDCWD, old, AT_FDCWD, new, 0);
}
"""


def lacking(folder: Path, build: Path, *, flock: int = 0, fsync: int = 0, longest_name: int = 0) -> dict[str, str]:
    """Variables for a child process: below `folder`, flock and fsync fail with these errors, and names have this limit.

    0: as usual.
    """
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    library = build / "lacking.so"
    (build / "lacking.c").write_text(_SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(build / "lacking.c")], check=True)
    found = {"LD_PRELOAD": str(library), "LACKING": os.path.realpath(folder)}
    limits = {"FLOCK_ERRNO": flock, "FSYNC_ERRNO": fsync, "NAME_LIMIT": longest_name}
    return found | {name: str(value) for name, value in limits.items() if value}
