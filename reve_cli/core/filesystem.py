"""What a folder's file system can do: its free space.

May import: nothing of ours.
"""

import os
import shutil


def room(folder: str, size: int) -> float:
    """How many files of `size` bytes fit into the file system of `folder`. Infinite if the system does not say.

    A folder that does not exist yet is taken to be created in its nearest parent.
    """
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    files = float("inf")
    try:
        space = shutil.disk_usage(folder)
        if hasattr(os, "statvfs"):
            found = os.statvfs(folder)
            files = found.f_favail if found.f_files else files
    except OSError:
        return files
    return min(space.free // size, files) if space.total else files
