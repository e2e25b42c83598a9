"""Just enough ELF for the tests: entry point, segments, function symbols."""
import bisect
import functools
import struct
import subprocess


class ElfFile:
    """A 64-bit little-endian ELF file."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            header = file.read(64)
            if header[:4] != b"\x7fELF":
                raise ValueError(f"{path} is no ELF file")
            self.entry, program_headers = struct.unpack_from("<QQ", header, 24)
            size, number = struct.unpack_from("<HH", header, 54)
            file.seek(program_headers)
            table = file.read(size * number)
        self.segments = []  # (offset, address, size in the file, flags)
        for index in range(number):
            kind, flags, offset, address, _, file_size = struct.unpack_from(
                "<IIQQQQ", table, index * size)
            if kind == 1:
                self.segments.append((offset, address, file_size, flags))

    def address_of(self, file_offset):
        """The address that the file gives to a byte of it, or None."""
        for offset, address, size, _ in self.segments:
            if offset <= file_offset < offset + size:
                return address + file_offset - offset
        return None

    @functools.cached_property
    def functions(self):
        """Sorted [(address, size, demangled name)], locals included."""
        listing = subprocess.run(
            ["nm", "-S", "--defined-only", "-C", str(self.path)], check=True,
            capture_output=True, text=True).stdout
        found = []
        for line in listing.splitlines():
            fields = line.split(maxsplit=3)
            if len(fields) == 4 and fields[2] in "tTwWi":
                found.append((int(fields[0], 16), int(fields[1], 16),
                              fields[3].split("(")[0]))
        return sorted(found)

    def function_at(self, address):
        index = bisect.bisect_right(self.functions, (address, 1 << 64)) - 1
        if index < 0:
            return ""
        start, size, name = self.functions[index]
        return name if address < start + size else ""


@functools.lru_cache(maxsize=64)
def open_elf(path):
    try:
        return ElfFile(path)
    except (OSError, ValueError, struct.error):
        return None


def is_entry_point(location):
    """Whether a frame lies in the code the kernel enters a program at."""
    elf = open_elf(location.mapping_file) if location.mapping_file else None
    if elf is None:
        return False
    address = elf.address_of(location.file_offset)
    return address is not None and 0 <= address - elf.entry < 64
