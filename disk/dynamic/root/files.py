"""What a Python program does to a file system: files made, renamed, grown and cut, folders made and walked, links.

The last line is `all well`.
"""

import os
import shutil
import sys
import tempfile


def check(subject, result, wanted):
    print(f"{subject}: {result}", flush=True)
    if result != wanted:
        sys.exit(f"{subject}: {result!r}, not {wanted!r}")


with tempfile.TemporaryDirectory() as folder:
    first, second = os.path.join(folder, "first"), os.path.join(folder, "second")
    with open(first, "w", encoding="utf-8") as file:
        file.write("x" * 100000)
    os.rename(first, second)
    check("rename", (os.listdir(folder), os.stat(second).st_size), (["second"], 100000))
    os.truncate(second, 10)
    with open(second, "a", encoding="utf-8") as file:
        file.write("y")
    with open(second, encoding="utf-8") as file:
        check("contents", file.read(), "x" * 10 + "y")
    os.symlink("second", os.path.join(folder, "link"))
    os.link(second, os.path.join(folder, "other"))
    check("links", (os.readlink(os.path.join(folder, "link")), os.stat(second).st_nlink), ("second", 2))
    os.chmod(second, 0o640)
    os.utime(second, (1000, 2000))
    check("attributes", (oct(os.stat(second).st_mode), os.stat(second).st_mtime), ("0o100640", 2000.0))
    for depth in range(1, 6):
        os.makedirs(os.path.join(folder, *map(str, range(depth))))
    check("walk", sum(len(names) for _, names, _ in os.walk(folder)), 5)
    shutil.copytree(os.path.join(folder, "0"), os.path.join(folder, "copy"))
    check("copy", os.path.isdir(os.path.join(folder, "copy/1/2/3/4")), True)
    inside = folder
check("removed", os.path.exists(inside), False)
print("all well")
