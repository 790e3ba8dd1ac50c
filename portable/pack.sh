#!/usr/bin/env bash
# Packs this crate's tests, benches and examples, built, into one archive for a machine that has a GPU and no
# Rust: there, `tar xf ARCHIVE && selfnorm-portable/run.sh`.
#
#     pack.sh [--mnist DIRECTORY] [--no-loader] [OUTPUT]
#
# In a checkout. OUTPUT is target/portable/selfnorm-portable.tar.xz without one. --mnist packs the four files of
# MNIST too, --no-loader leaves out the Vulkan loader (Debian's and Ubuntu's packages, fetched with apt-get).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; }
mnist='' output='' loader=1
while [ $# -gt 0 ]; do
  case $1 in
  --mnist) mnist=$(cd "${2:?--mnist needs a directory}" && pwd) && shift ;;
  --no-loader) loader= ;;
  -h | --help) usage && exit ;;
  -*) usage >&2 && exit 2 ;;
  *) output=$1 ;;
  esac
  shift
done

root=$(dirname "$(cargo locate-project --message-format plain)")
# Below the checkout, so that the paths that are compiled in are below one folder.
target=$root/target/portable
output=${output:-$target/selfnorm-portable.tar.xz}
mkdir -p "$(dirname "$output")" "$target/tmp"
output=$(cd "$(dirname "$output")" && pwd)/$(basename "$output")
cd "$root"

# --------------------------------------------------------------- built

export CARGO_TARGET_DIR=$target CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_DEBUG=false
benches=(ops training tilings checked frames fused small scaling)
examples=(check_device mnist deep quickstart)
built=$target/built.json
echo 'building' >&2
cargo test --release --locked --no-run --message-format=json --lib --tests "${benches[@]/#/--bench=}" >"$built"
# As examples, and not as their tests.
cargo build --release --locked --message-format=json "${examples[@]/#/--example=}" >>"$built"

# KIND NAME EXECUTABLE, a line for each.
executables() {
  grep '"reason":"compiler-artifact"' "$built" | grep -v '"executable":null' |
    sed -nE 's/.*"kind":\["([a-z-]+)"[^]]*\].*"name":"([^"]+)","src_path".*"executable":"([^"]+)".*/\1 \2 \3/p' | sort -u
}

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
top=$stage/selfnorm-portable
mkdir -p "$top"/{tests,benches,examples,tree/target/portable/tmp,tree/docs}
count=0
while read -r kind name file; do
  # Its tests run the command where it was built.
  [ "$name" != cli ] || continue
  case $kind in
  test) cp "$file" "$top/tests/$name" ;;
  lib) cp "$file" "$top/tests/lib" ;;
  bench) cp "$file" "$top/benches/$name" ;;
  example) cp "$file" "$top/examples/$name" ;;
  *) continue ;;
  esac
  count=$((count + 1))
done < <(executables)
for needed in "${benches[@]/#/benches/}" "${examples[@]/#/examples/}" tests/lib; do
  [ -x "$top/$needed" ] || { echo "there is no $needed among what was built" >&2 && exit 1; }
done

# ------------------------------------------------- what they read at run time

# By env!("CARGO_MANIFEST_DIR"): golden values and shaders; a picture is written to docs/.
cp -r --parents tests src shaders docs README.md "$top/tree"
if others=$(grep -rlE 'CARGO_MANIFEST_DIR' tests benches/*.rs benches/common examples src |
  grep -vE '^(tests/(ops|shaders)/main|tests/nn/(keras|onnx|torch)|tests/device/layering|tests/shaders/reassociation|benches/scaling|src/shader/files|src/guide|src/ops/network/loss/tests)\.rs$'); then
  echo "these read files too, see whether they are packed: $others" >&2
fi
if [ -n "$mnist" ]; then
  mkdir "$top/mnist"
  for part in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
    files=("$mnist/$part-ubyte"*)
    [ -f "${files[0]}" ] || { echo "there is no $part-ubyte in $mnist" >&2 && exit 1; }
    cp "${files[0]}" "$top/mnist/"
  done
fi

# ------------------------------------------------- the Vulkan loader

# Unpacked here, so that nothing is needed there. With the libraries that NVIDIA's driver needs of X, which
# a machine without a display may lack.
packages=(libvulkan1 libegl1 libglvnd0 libopengl0 libgl1 libglx0 libgles2
  libx11-6 libxext6 libxcb1 libxau6 libxdmcp6 libbsd0 libmd0)
if [ -n "$loader" ] && [ "$(uname -m)" = x86_64 ] && command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
  mkdir -p "$stage/debs" "$stage/unpacked" "$top/lib"
  for package in "${packages[@]}"; do
    (cd "$stage/debs" && apt-get -qq -o APT::Sandbox::User=root download "$package:amd64" >/dev/null 2>&1) ||
      echo "$package can't be fetched (apt-get update?)" >&2
  done
  for package in "$stage"/debs/*.deb; do
    [ -e "$package" ] && dpkg-deb --extract "$package" "$stage/unpacked"
  done
  # Under the names that programs ask for.
  while read -r link; do
    cp -L "$link" "$top/lib/"
  done < <(find "$stage/unpacked" -name 'lib*.so.[0-9]*' | grep -E '\.so\.[0-9]+$')
fi
[ -e "$top/lib/libvulkan.so.1" ] || echo 'without the Vulkan loader: the other machine needs libvulkan1' >&2

# ------------------------------------------------- packed

cp "$here/run.sh" "$here/peers.py" "$here/README.md" "$top/"
changed=$(git status --porcelain 2>/dev/null | grep -vc '^??' || true)
glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null || true)
cat >"$top/info" <<END
root='$root'
version='$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)'
commit='$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)$([ "${changed:-0}" = 0 ] || echo ", with changes")'
rustc='$(rustc --version)'
built_on='$(uname -m), $glibc'
END
chmod +x "$top/run.sh"

# The programs have most of their code in common, which is found if all of them are in the dictionary. More
# effort than this takes minutes and saves little.
echo "packing $count programs" >&2
tar --sort=name --owner=0 --group=0 -C "$stage" -cf - selfnorm-portable |
  xz --threads=1 --lzma2=preset="${PACK_PRESET:-1}",dict=384MiB >"$output"
printf '%s: %d programs, %s bytes, %s MiB\n' "$output" "$count" "$(stat -c %s "$output")" \
  "$(awk "BEGIN { printf \"%.1f\", $(stat -c %s "$output") / 1048576 }")"
