#!/usr/bin/env bash
# make lint: form, include direction, words, shell and C++ checks.
#
#   cmake/lint.sh BUILD_DIR [JOBS]
#
# BUILD_DIR is a finished build: clang-tidy needs its generated headers. Runs
# every check, then fails if any did.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=${1:?usage: cmake/lint.sh BUILD_DIR [JOBS]}
jobs=${2:-$(nproc)}
failed=0
git -c safe.directory='*' rev-parse >/dev/null || exit 1

# Files of the repository, new ones included, that match the patterns.
files() {
  git -c safe.directory='*' ls-files -z -co --exclude-standard -- "$@"
}

check() {
  local name=$1
  shift
  if "$@"; then
    echo "lint: $name: ok"
  else
    echo "lint: $name: FAILED"
    failed=1
  fi
}

formatted() {
  files '*.cc' '*.h' '*.c' | xargs -0 clang-format-19 --dry-run -Werror
}

# Nothing unfinished, and no paths of the machine it was written on.
clean_words() {
  ! files . ':!:*.md' ':!:*LICENSE' | xargs -0 grep -nIE \
    '\b(TOD[O]|FIXM[E])\b|(^|[^A-Za-z0-9_.])/(wor[k]|far[m])/'
}

shell_scripts() {
  if ! command -v shellcheck >/dev/null; then
    echo "lint: shellcheck is not installed, shell scripts not checked"
    return
  fi
  files '*.sh' .ci/run | xargs -0 shellcheck -S warning &&
    shellcheck -S warning -s dash tests/vm/init
}

check format formatted
check includes python3 cmake/check_includes.py
check words clean_words
check shell shell_scripts
check clang-tidy python3 cmake/tidy.py "$build" "$jobs"
exit "$failed"
