#!/bin/sh
# make_mini_debug_info.sh PROGRAM OUTPUT
#
# Strips PROGRAM into OUTPUT and packs the functions that its dynamic symbols do
# not have into .gnu_debugdata, as Fedora does. OUTPUT.SUFFIX files are made on
# the way.
set -eu
program=$1 output=$2

nm -D --format=posix --defined-only "$program" | cut -d' ' -f1 | sort \
  >"$output.dynamic_names"
nm --format=posix --defined-only "$program" | awk '$2 ~ /[Tt]/ { print $1 }' |
  sort >"$output.names"
comm -13 "$output.dynamic_names" "$output.names" >"$output.kept_names"
objcopy --only-keep-debug "$program" "$output.debug"
objcopy --strip-all --remove-section .comment \
  --keep-symbols="$output.kept_names" "$output.debug" "$output.mini"
xz --force --keep "$output.mini"
objcopy --strip-all --add-section .gnu_debugdata="$output.mini.xz" \
  "$program" "$output"
rm "$output".*
