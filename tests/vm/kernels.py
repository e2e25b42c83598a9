"""Kernels to test on: Debian's cloud images, fetched by apt.

Every fetch uses an apt root of its own under the cache directory, with the
mirrors that the system's apt is configured for, so the system's own lists and
packages stay as they are.
"""

import pathlib
import re
import shutil
import subprocess

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# Name on the command line -> suites that carry it as linux-image-cloud-amd64.
SUITES = {
    "5.10": ("bullseye-security",),
    "6.1": ("bookworm", "bookworm-security"),
    "6.12": ("bookworm-backports",),
    "newest": ("sid",),
}


class Unavailable(Exception):
    """The kernel cannot be had here; the text says why."""


def fetch(name, cache):
    """Returns (release, path of the bootable image), downloaded once."""
    directory = pathlib.Path(cache) / "kernels" / name
    images = sorted(directory.glob("vmlinuz-*"))
    if not images:
        directory.mkdir(parents=True, exist_ok=True)
        _download(name, directory)
        images = sorted(directory.glob("vmlinuz-*"))
    if not images:
        raise Unavailable(f"no kernel image in the packages of {name}")
    return images[-1].name.removeprefix("vmlinuz-"), images[-1]


def _download(name, directory):
    apt = _AptRoot(directory, SUITES[name])
    package = "linux-image-cloud-amd64"
    # The image hides behind one or two levels of dependencies.
    for _ in range(3):
        package = apt.dependency(package, r"linux-(image|binary)-\S+")
        archive = apt.download(package)
        found = _extract_image(archive, directory)
        archive.unlink()
        if found:
            break
    shutil.rmtree(directory / "apt")
    shutil.rmtree(directory / "unpacked")


def _extract_image(archive, directory):
    tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive],
                           stdout=subprocess.PIPE)
    unpack = directory / "unpacked"
    unpack.mkdir(exist_ok=True)
    subprocess.run(["tar", "-x", "-C", unpack, "--wildcards", "*/vmlinuz*"],
                   stdin=tar.stdout, stderr=subprocess.DEVNULL, check=False)
    tar.stdout.close()
    tar.wait()
    for image in unpack.rglob("vmlinuz*"):
        release = image.name.removeprefix("vmlinuz").lstrip("-")
        release = release or image.parent.name
        image.rename(directory / f"vmlinuz-{release}")
        return True
    return False


def _mirrors():
    """Suite -> URI, as the system's apt knows them."""
    text = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)",
         "Created-By: Packages"],
        capture_output=True, text=True, check=True).stdout
    return dict(line.split(" ", 1) for line in text.splitlines())


class _AptRoot:
    """apt with its own sources, lists and cache below `directory`."""

    def __init__(self, directory, suites):
        self._root = directory / "apt"
        for part in ("lists/partial", "archives/partial", "parts"):
            (self._root / part).mkdir(parents=True, exist_ok=True)
        (self._root / "status").touch()
        known = _mirrors()
        main, security = known.get("bookworm"), known.get("bookworm-security")
        sources = ""
        for suite in suites:
            uri = security if suite.endswith("-security") else main
            if uri:
                sources += f"deb [signed-by={KEYRING}] {uri} {suite} main\n"
        if not sources:
            raise Unavailable("apt knows no mirror for " + ", ".join(suites))
        (self._root / "sources.list").write_text(sources)
        self._options = [
            "-o", f"Dir::Etc::SourceList={self._root}/sources.list",
            "-o", f"Dir::Etc::SourceParts={self._root}/parts",
            "-o", f"Dir::State={self._root}",
            "-o", f"Dir::State::Lists={self._root}/lists",
            "-o", f"Dir::State::status={self._root}/status",
            "-o", f"Dir::Cache={self._root}",
            "-o", f"Dir::Cache::archives={self._root}/archives",
            "-o", "APT::Sandbox::User=root",
            "-o", "Acquire::Languages=none",
            "-o", "Acquire::Retries=3",
        ]
        self._run("apt-get", "update", "-q", "--error-on=any")

    def _run(self, tool, *arguments):
        done = subprocess.run([tool, *self._options, *arguments],
                              cwd=self._root, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["failed"])[-1]
            raise Unavailable(f"{tool} {arguments[0]}: {reason}")
        return done.stdout

    def dependency(self, package, pattern):
        text = self._run("apt-cache", "show", "--no-all-versions", package)
        depends = re.search(r"^Depends: (.*)$", text, re.MULTILINE)
        for name in re.split(r"[,|]\s*", depends.group(1) if depends else ""):
            if re.fullmatch(pattern, name.split()[0]):
                return name.split()[0]
        raise Unavailable(f"{package} depends on no kernel image")

    def download(self, package):
        self._run("apt-get", "download", "-q", package)
        return next(self._root.glob("*.deb"))
