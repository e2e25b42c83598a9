"""Burns CPU in three Python functions; prints "ready PID" first."""
import os
import signal
import sys
import time

stopping = False


def stop(_number, _frame):
    global stopping
    stopping = True


def leaf_a(rounds):
    state = rounds
    for left in range(rounds):
        state = (state * 1103515245 + left) & 0xFFFFFFFF
    return state


def path_a(rounds):
    return leaf_a(rounds) + 1


def sort_by_key(rounds):
    return sorted(range(rounds), key=lambda value: value * 7919 % 1009)


def main():
    seconds = 60
    for argument in sys.argv[1:]:
        if argument.startswith("--seconds="):
            seconds = int(argument.removeprefix("--seconds="))
    signal.signal(signal.SIGTERM, stop)
    print("ready", os.getpid(), flush=True)
    until = time.monotonic() + seconds
    while not stopping and time.monotonic() < until:
        path_a(20000)
        sort_by_key(2000)


main()
