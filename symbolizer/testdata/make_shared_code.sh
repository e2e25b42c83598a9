#!/bin/sh
# make_shared_code.sh GCC CLANG LLVM_DWP FOLDER
#
# Builds shared_code.cc with each compiler for DWARF 4 and 5 into FOLDER:
# plain/; dwz/ with the same programs after dwz (which cannot read what Clang
# makes of DWARF 5); split/ with .dwo files where the programs say, moved/ with
# those in dwo/ instead, packed/ with .dwp packages instead.
set -eu
sources=$(cd "$(dirname "$0")" && pwd)
gcc=$1 clang=$2 llvm_dwp=$3 folder=$4

compiler() { # VARIANT
  case $1 in gcc*) echo "$gcc" ;; clang*) echo "$clang" ;; esac
}

# build OUTPUT NUMBER VARIANT OPTIONS...: relative sources, as most have.
build() {
  output=$1 number=$2 variant=$3
  shift 3
  (cd "$sources" && for unit in shared_code shared_more; do
    $(compiler "$variant") -O1 -g "-gdwarf-${variant#"${variant%?}"}" \
      "-DVARIANT=$number" "$@" -c "$unit.cc" -o "$output.$unit.o"
  done)
  $(compiler "$variant") -rdynamic -Wl,--build-id=sha1 \
    "$output.shared_code.o" "$output.shared_more.o" -o "$output"
}

rm -rf "$folder"
mkdir -p "$folder/plain" "$folder/dwz" "$folder/split" "$folder/moved/dwo" \
  "$folder/packed"
folder=$(cd "$folder" && pwd)

for variant in gcc4 gcc5 clang4 clang5; do
  build "$folder/plain/$variant" 1 "$variant"
done

# run_dwz VARIANT NAME OPTIONS...
run_dwz() {
  variant=$1 name=$2
  shift 2
  build "$folder/dwz/other" 2 "$variant"
  cp "$folder/plain/$variant" "$folder/dwz/$name"
  dwz "$@" -m "$folder/dwz/$name.common" "$folder/dwz/$name" "$folder/dwz/other"
}
for variant in gcc4 gcc5 clang4; do
  run_dwz "$variant" "$variant" -M "$variant.common"
done
run_dwz gcc5 gcc5sup --dwarf-5 -M gcc5sup.common
run_dwz gcc5 gcc5absolute -M "$folder/dwz/gcc5absolute.common"
objcopy --strip-all "$folder/dwz/gcc5" "$folder/dwz/gcc5.stripped"

for variant in gcc4 gcc5 clang4 clang5; do
  for kind in split moved packed; do
    build "$folder/$kind/$variant" 1 "$variant" -gsplit-dwarf
  done
  case $variant in
    gcc4) dwp -e "$folder/packed/$variant" -o "$folder/packed/$variant.dwp" ;;
    *) "$llvm_dwp" -e "$folder/packed/$variant" -o "$folder/packed/$variant.dwp" ;;
  esac
done
mv "$folder"/moved/*.dwo "$folder/moved/dwo"
rm "$folder"/packed/*.dwo

rm -f "$folder"/*/*.o "$folder/dwz/other"
