"""One running pprofd: started on a free port, stopped by its pid."""
import os
import pathlib
import re
import signal
import subprocess

from waiting import wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUILD_DIR = pathlib.Path(os.environ.get("PPROFD_BUILD_DIR",
                                        REPOSITORY / "build"))
BINARY = pathlib.Path(os.environ.get("PPROFD_BINARY", BUILD_DIR / "pprofd"))
LISTENING = re.compile(r"listening on (http://[^/\s]+)/debug/pprof/")


class DaemonDied(AssertionError):
    """pprofd ended by itself; the message has the end of its log."""


class DaemonProcess:
    """pprofd in a temporary directory; `prefix` is put before its command."""

    def __init__(self, directory, prefix=(), arguments=(), config=""):
        self.directory = pathlib.Path(directory)
        config_file = self.directory / "pprofd.yaml"
        config_file.write_text(config or "# every setting has its default\n")
        self.output_file = self.directory / "pprofd.log"
        command = [*prefix, str(BINARY), "run",
                   f"--config.file={config_file}",
                   f"--symbols.cache_folder={self.directory}/symbols",
                   *(arguments or ("--http.listen=127.0.0.1:0",))]
        with open(self.output_file, "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, cwd=self.directory)
        self.url = ""

    @property
    def pid(self):
        return self.process.pid

    def output(self):
        return self.output_file.read_text(errors="replace")

    def check_alive(self):
        status = self.process.poll()
        if status is not None:
            raise DaemonDied(f"pprofd ended with status {status}; its log "
                             f"ends:\n{self.output()[-4000:]}")

    def wait_until_listening(self, seconds=60):
        def listening():
            found = LISTENING.search(self.output())
            if found is None:
                self.check_alive()
            return found
        self.url = wait_until(listening, "pprofd says that it listens",
                              seconds).group(1)
        return self

    def wait_for_exit(self, seconds=20):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"pprofd still ran after {seconds} s; its log ends:\n"
                f"{self.output()[-4000:]}") from None

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait_for_exit()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
