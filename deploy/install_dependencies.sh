#!/usr/bin/env bash
# Installs what pprofd is built and tested with, by apt, on Debian 12, as root.
#
#   deploy/install_dependencies.sh [build|test|all]      (default: all)
#
# Does nothing, and asks no mirror, when nothing is missing. Packages that
# bookworm has too old come from bookworm-backports, on the mirror apt already
# uses. Services of installed packages are not started.
set -euo pipefail

# One package per line; "name version" asks for that version or a newer one.
BUILD_PACKAGES="
ccache
clang-19
clang-format-19
clang-tidy-19
cmake
dwz
g++-12
gcc-12
git
libabsl-dev
libbenchmark-dev
libboost1.81-dev
libcap-dev
libclang-rt-19-dev
libcli11-dev
libdeflate-dev
libfmt-dev
libgmock-dev
libgtest-dev
liblzma-dev
libprotobuf-dev
libseccomp-dev
libspdlog-dev
libyaml-cpp-dev
libxxhash-dev
libzstd-dev
libzydis-dev
llvm-19-dev
make
nettle-dev
ninja-build
pkg-config
protobuf-compiler
python3
xz-utils
zlib1g-dev
"
BUILD_BACKPORTS="
bpftool 7.5
elfutils 0.192
libbpf-dev 1:1.4
libdebuginfod-dev 0.192
libdw-dev 0.192
libelf-dev 0.192
linux-libc-dev 6.12
"
TEST_PACKAGES="
busybox-static
ca-certificates
curl
debian-archive-keyring
golang-1.19-go
graphviz
iproute2
libc6-dbg
libcap2-bin
libjemalloc2
libmimalloc2.0
libstdc++6-12-dbg
libtcmalloc-minimal4
linux-perf
lld-19
llvm-14
llvm-19
musl-tools
nodejs
postgresql-15
procps
python3-protobuf
python3-pytest
qemu-system-x86
redis-server
redis-tools
rustc
shellcheck
util-linux
"
TEST_BACKPORTS="
debuginfod 0.192
"
# Used by tests that skip without them.
TEST_BACKPORTS_OPTIONAL="
golang-1.23-go
"

POLICY=/usr/sbin/policy-rc.d
BACKPORTS=bookworm-backports
BACKPORTS_LIST=/etc/apt/sources.list.d/pprofd-backports.list

fail() {
  echo "install_dependencies: $*" >&2
  exit 1
}

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -y -q \
    -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# Prints the names on stdin's lines ("name [version]") that are not installed.
missing() {
  local name version status installed
  while read -r name version; do
    [ -n "$name" ] || continue
    # A runtime from elsewhere is kept.
    if [ "$name" = nodejs ] && command -v node >/dev/null; then continue; fi
    read -r status installed < <(
      dpkg-query -W -f '${db:Status-Abbrev} ${Version}\n' "$name" 2>/dev/null |
        head -n 1) || true
    if [ "${status:-}" = ii ]; then
      [ -n "$version" ] || continue
      if dpkg --compare-versions "$installed" ge "$version"; then continue; fi
    fi
    echo "$name"
    status=
  done
}

# Makes apt know bookworm-backports, from the mirror that serves bookworm.
add_backports() {
  local targets mirror
  targets=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' \
    'Created-By: Packages' | sort -u)
  if grep -q "^$BACKPORTS " <<<"$targets"; then return; fi
  mirror=$(awk '$1 == "bookworm" || $1 == "stable" || $1 == "oldstable" {
    print $2; exit }' <<<"$targets")
  [ -n "$mirror" ] || fail "apt has no source for bookworm to derive the" \
    "backports mirror from; add $BACKPORTS to the apt sources yourself"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
    "$mirror $BACKPORTS main" >"$BACKPORTS_LIST"
}

# Keeps packages from starting their services while they are installed.
deny_service_starts() {
  if [ -e "$POLICY" ]; then return; fi
  trap 'rm -f "$POLICY"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod 755 "$POLICY"
}

# install OPTIONS... -- tries again when the network fails half-way.
install() {
  local attempt
  for attempt in 1 2 3; do
    if apt_get install --no-install-recommends "$@"; then return; fi
    [ "$attempt" = 3 ] || sleep $((attempt * 5))
  done
  return 1
}

main() {
  local what=${1:-all} wanted='' wanted_backports='' wanted_optional=''
  case $what in
    build | test | all) ;;
    *) fail "usage: $0 [build|test|all]" ;;
  esac
  if [ "$what" != test ]; then
    wanted=$BUILD_PACKAGES wanted_backports=$BUILD_BACKPORTS
  fi
  if [ "$what" != build ]; then
    wanted+=$TEST_PACKAGES wanted_backports+=$TEST_BACKPORTS
    wanted_optional=$TEST_BACKPORTS_OPTIONAL
  fi

  command -v dpkg-query >/dev/null || fail "this needs Debian 12 and its apt"
  local packages backports optional
  mapfile -t packages < <(missing <<<"$wanted")
  mapfile -t backports < <(missing <<<"$wanted_backports")
  mapfile -t optional < <(missing <<<"$wanted_optional")
  local needed=$((${#packages[@]} + ${#backports[@]}))
  if [ $((needed + ${#optional[@]})) = 0 ]; then return; fi
  if [ $needed = 0 ] && [ "$(id -u)" != 0 ]; then return; fi

  grep -q '^VERSION_CODENAME=bookworm$' /etc/os-release ||
    fail "missing: ${packages[*]} ${backports[*]}. Only Debian 12 (bookworm)" \
      "can be prepared by this script; install them by hand elsewhere"
  [ "$(id -u)" = 0 ] ||
    fail "missing: ${packages[*]} ${backports[*]}. Installing needs root:" \
      "sudo make deps"

  deny_service_starts
  add_backports
  # One unreachable source of many is no reason to stop.
  apt_get update || echo "install_dependencies: apt-get update failed" >&2
  if [ ${#packages[@]} != 0 ]; then
    install "${packages[@]}" || fail "cannot install: ${packages[*]}"
  fi
  if [ ${#backports[@]} != 0 ]; then
    install -t "$BACKPORTS" "${backports[@]}" ||
      fail "cannot install from $BACKPORTS: ${backports[*]}"
  fi
  if [ ${#optional[@]} != 0 ]; then
    install -t "$BACKPORTS" "${optional[@]}" ||
      echo "install_dependencies: going on without: ${optional[*]}" >&2
  fi
}

main "$@"
