"""The code of a running process, compared with that of its files."""
import os
import re

CODE_LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+) \S+ \d+ +"
                       r"(/.*)$")


class TargetCode:
    """Tells where a process's code differs from its files: at breakpoints."""

    def __init__(self, pid, name):
        """Of the mapped files whose path holds `name`."""
        self.pid = pid
        self.parts = []  # address, bytes on disk
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
            lines = maps.read().splitlines()
        for line in lines:
            found = CODE_LINE.match(line)
            if not found or name not in found.group(4):
                continue
            start, end, offset = (int(found.group(i), 16) for i in (1, 2, 3))
            with open(found.group(4), "rb") as file:
                self.parts.append((start, os.pread(file.fileno(), end - start,
                                                   offset)))
        assert self.parts, (name, lines)

    def differences(self):
        """Addresses of changed bytes."""
        changed = []
        memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY)
        try:
            for start, clean in self.parts:
                now = os.pread(memory, len(clean), start)
                assert len(now) == len(clean)
                if now == clean:
                    continue
                changed += [start + i for i, (a, b) in enumerate(
                    zip(now, clean)) if a != b]
        finally:
            os.close(memory)
        return changed

    def is_probed(self):
        return bool(self.differences())

    def is_clean(self):
        return not self.differences()
