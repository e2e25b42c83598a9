"""Packs files, and the libraries programs need, into an initramfs."""

import gzip
import pathlib
import re
import stat
import subprocess


def shared_libraries(program):
    """Paths of everything the dynamic linker maps for `program`."""
    text = subprocess.run(["ldd", program], capture_output=True, text=True,
                          check=False).stdout
    return re.findall(r"(?:=> |^\s+)(/\S+) \(0x", text, re.MULTILINE)


def build(files, programs, output):
    """Writes a gzipped cpio archive.

    `files` maps paths in the guest to paths here, or to bytes. `programs` and
    their shared libraries stand in the guest where they stand here. All can be
    executed.
    """
    content = dict(files)
    for program in programs:
        for path in (str(program), *shared_libraries(program)):
            content[path] = pathlib.Path(path)
    directories = {str(parent) for path in content
                   for parent in pathlib.PurePath(path).parents}
    with gzip.open(output, "wb", compresslevel=1) as archive:
        for directory in sorted(directories - {"/"}):
            _entry(archive, directory, stat.S_IFDIR | 0o755, b"")
        for path, source in sorted(content.items()):
            data = source if isinstance(source, bytes) else source.read_bytes()
            _entry(archive, path, stat.S_IFREG | 0o755, data)
        _entry(archive, "/TRAILER!!!", 0, b"")


def _entry(archive, path, mode, data):
    """One member in the "newc" format: hexadecimal header, name, data."""
    name = path.removeprefix("/").encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    archive.write(_padded(header + name))
    archive.write(_padded(data))


def _padded(data):
    return data + b"\0" * (-len(data) % 4)
