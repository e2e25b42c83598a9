"""Burns CPU in a BPF program of its own; prints "ready PID" first."""
import argparse
import ctypes
import os
import struct
import time

SYS_BPF = 321
BPF_PROG_LOAD = 5
BPF_PROG_TEST_RUN = 10
BPF_PROG_TYPE_SOCKET_FILTER = 1
NAME = b"burn_bpf"

# r0 = 0; 3,000 times r0 += 7; exit.
PROGRAM = (struct.pack("<BBhi", 0xb7, 0, 0, 0)
           + struct.pack("<BBhi", 0x07, 0, 0, 7) * 3000
           + struct.pack("<BBhi", 0x95, 0, 0, 0))


def bpf(command, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(SYS_BPF, command, attributes, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return result


def load():
    instructions = ctypes.create_string_buffer(PROGRAM)
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = ctypes.create_string_buffer(struct.pack(
        "<IIQQIIQII16s", BPF_PROG_TYPE_SOCKET_FILTER, len(PROGRAM) // 8,
        ctypes.addressof(instructions), ctypes.addressof(licence),
        0, 0, 0, 0, 0, NAME), 128)
    return bpf(BPF_PROG_LOAD, attributes)


def run(program, repeat):
    packet = ctypes.create_string_buffer(64)
    attributes = ctypes.create_string_buffer(struct.pack(
        "<IIIIQQII", program, 0, len(packet), 0, ctypes.addressof(packet), 0,
        repeat, 0), 128)
    bpf(BPF_PROG_TEST_RUN, attributes)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    until = time.monotonic() + parser.parse_args().seconds
    program = load()
    print("ready", os.getpid(), flush=True)
    while time.monotonic() < until:
        run(program, 100_000)


main()
