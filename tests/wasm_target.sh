# For scripts, run in the repository's root: $cargo and $flags build for wasm32-unknown-unknown.
#
# Where rustup cannot add the target, the standard library is compiled first, from Debian's package of its source
# for this very rustc: fetched by way of the system's own apt to target/rust-src, and linked into the toolchain,
# where cargo looks for it.
target=wasm32-unknown-unknown
folder=$PWD/target/rust-src
. tests/debian.sh

# The source of the standard library, in the toolchain.
standard_library() {
  local version library
  version=$(rustc --version | cut -d' ' -f2)
  sources=$(rustc --print sysroot)/lib/rustlib/src/rust
  [ -e "$sources/library" ] && return
  # Linked for this run: it leads into target/, which may go.
  trap 'rm -f "$sources/library"' EXIT
  library=$folder/usr/src/rustc-$version/library
  if ! [ -e "$library" ]; then
    apt_of_our_own && add trixie-backports || return
    local -x APT_CONFIG=$folder/apt/apt.conf
    local package
    package=$(apt-cache madison rust-src | awk -v version="$version+" 'index($3, version) == 1 && !found++ { print $3 }')
    [ -n "$package" ] || { echo "Debian has no source of the standard library of Rust $version" >&2; return 1; }
    rm -rf "$folder"/rust-src_*.deb "$folder/unpacked"
    mkdir -p "$folder/unpacked" "$(dirname "$library")"
    (cd "$folder" && apt-get -qq download "rust-src=$package")
    dpkg --fsys-tarfile "$folder"/rust-src_*.deb | tar x -C "$folder/unpacked" "./usr/src/rustc-$version/library"
    mv "$folder/unpacked/usr/src/rustc-$version/library" "$library"
  fi
  mkdir -p "$sources"
  ln -sfn "$library" "$sources/library"
}

cargo=(cargo)
flags=(--target "$target")
if ! rustup target add "$target" 2>/dev/null; then
  standard_library
  # What builds the standard library is not stable; with this a stable cargo does it, too.
  cargo=(env RUSTC_BOOTSTRAP=1 cargo)
  flags+=(-Zbuild-std=std,panic_abort)
fi
