"""The programs of tests/targets, each with the options that it takes."""
import os

import target_process

FIXED = ("burn_c_debug_frame", "burn_c_musl", "burn_c_musl_static",
         "burn_rust", "burn_go", "burn_go_stripped")


def built(name):
    return os.path.exists(target_process.TARGETS_DIR / name)


def command(name):
    options = [f"--seconds={target_process.LIFETIME_SECONDS}"]
    if name not in FIXED:
        options += ["--mode=all",
                    f"--plugin={target_process.TARGETS_DIR / 'hop_plugin.so'}"]
    return [target_process.TARGETS_DIR / name, *options]


def start(targets, name, **options):
    """Running and ready; None when it was not built."""
    return targets.run(command(name), **options) if built(name) else None
