"""A decoded profile.proto as samples of stacks, leaf first."""
import dataclasses
import functools
import gzip
import importlib
import pathlib
import subprocess
import sys
import tempfile

PROTO_DIR = pathlib.Path(__file__).resolve().parents[2] / "proto"
KERNEL_MAPPING = "[kernel.kallsyms]"


@functools.cache
def profile_pb2():
    """The generated module; generated anew by every session."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["protoc", f"--proto_path={PROTO_DIR}",
                        f"--python_out={directory}", "profile.proto"],
                       check=True)
        sys.path.insert(0, directory)
        try:
            return importlib.import_module("profile_pb2")
        finally:
            sys.path.remove(directory)


@dataclasses.dataclass(frozen=True)
class Line:
    name: str
    system_name: str
    file: str
    line: int


@dataclasses.dataclass(frozen=True)
class Location:
    """One physical frame; `lines` innermost inlined call first."""
    address: int
    mapping_file: str
    mapping_start: int
    mapping_offset: int
    lines: tuple

    @property
    def name(self):
        """Of the physical function; "" when unresolved."""
        return self.lines[-1].name if self.lines else ""

    @property
    def is_kernel(self):
        return self.mapping_file == KERNEL_MAPPING

    @property
    def file_offset(self):
        return self.address - self.mapping_start + self.mapping_offset


@dataclasses.dataclass(frozen=True)
class Sample:
    locations: tuple  # leaf first
    count: int
    ns: int
    labels: dict

    @functools.cached_property
    def user(self):
        return tuple(loc for loc in self.locations if not loc.is_kernel)

    @functools.cached_property
    def names(self):
        """Physical user functions, leaf first."""
        return tuple(location.name for location in self.user)

    @functools.cached_property
    def all_names(self):
        """Every function, inlined and kernel ones too."""
        return tuple(line.name for location in self.locations
                     for line in location.lines)


class Profile:
    """`message` is the decoded protobuf, for what is not wrapped here."""

    def __init__(self, body):
        self.body = body
        self.raw = gzip.decompress(body)
        self.message = profile_pb2().Profile()
        self.message.ParseFromString(self.raw)
        self.strings = list(self.message.string_table)
        self.samples = self._samples()

    def _samples(self):
        text = self.strings
        functions = {
            f.id: (text[f.name], text[f.system_name], text[f.filename])
            for f in self.message.function}
        mappings = {m.id: m for m in self.message.mapping}
        locations = {}
        for loc in self.message.location:
            mapping = mappings.get(loc.mapping_id)
            locations[loc.id] = Location(
                loc.address,
                text[mapping.filename] if mapping else "",
                mapping.memory_start if mapping else 0,
                mapping.file_offset if mapping else 0,
                tuple(Line(*functions[line.function_id], line.line)
                      for line in loc.line))
        return [
            Sample(tuple(locations[i] for i in sample.location_id),
                   sample.value[0], sample.value[-1],
                   {text[label.key]: text[label.str] if label.str
                    else label.num for label in sample.label})
            for sample in self.message.sample]

    @property
    def comments(self):
        return [self.strings[index] for index in self.message.comment]

    @property
    def sample_types(self):
        return [(self.strings[t.type], self.strings[t.unit])
                for t in self.message.sample_type]

    @property
    def count(self):
        return sum(sample.count for sample in self.samples)

    @property
    def ns(self):
        return sum(sample.ns for sample in self.samples)

    @property
    def start_ns(self):
        return self.message.time_nanos

    @property
    def end_ns(self):
        return self.message.time_nanos + self.message.duration_nanos

    def where(self, condition):
        """Samples for which condition(sample) holds."""
        return [sample for sample in self.samples if condition(sample)]
