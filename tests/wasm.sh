#!/usr/bin/env bash
# Compiles the crate and its tests for browsers, where a warning fails, and runs the tests in headless Chromium:
#
#     tests/wasm.sh
#     tests/wasm.sh --test ops -- selu::
#
# What runs the tests, of the same version as the crate's wasm-bindgen, is compiled to
# target/wasm-bindgen if it is not installed. Chromium and its driver are installed with apt if they are not there;
# where they cannot be had, the tests are skipped, and the last line says why.
set -euo pipefail
cd "$(dirname "$0")/.."
# Those that have tests for browsers.
tests=(--test ops --test nn)
[ $# -gt 0 ] || set -- "${tests[@]}"
. tests/wasm_target.sh

# The path of wasm-bindgen-test-runner, of the version of wasm-bindgen in Cargo.lock.
runner() {
  local version found
  version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
  for found in wasm-bindgen-test-runner target/wasm-bindgen/bin/wasm-bindgen-test-runner; do
    case $("$found" --version 2>/dev/null) in
    *" $version"*) command -v "$found" | xargs realpath && return ;;
    esac
  done
  # Optimized a little: it has little to do, and compiles in half the time.
  CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 \
    cargo install --quiet --debug wasm-bindgen-cli --version "$version" --root target/wasm-bindgen &&
    realpath "$found"
}

# The path of a driver of Chromium or Chrome, which finds its browser by itself. GitHub's machines have Chrome, and
# say where its driver is.
driver() {
  local found
  for found in "${CHROMEDRIVER:-}" "${CHROMEWEBDRIVER:-}/chromedriver" chromedriver; do
    "$found" --version >/dev/null 2>&1 && command -v "$found" && return
  done
}

# Debian's packages, or Ubuntu's, which are snaps and run where snaps do.
install_chromium() {
  local sudo
  sudo=$(command -v sudo)
  $sudo apt-get update -qq
  $sudo apt-get install -qq -y --no-install-recommends chromium chromium-driver ||
    $sudo apt-get install -qq -y chromium-browser chromium-chromedriver
}

"${cargo[@]}" clippy --quiet "${flags[@]}" --lib "${tests[@]}" -- -D warnings

if ! driver >/dev/null; then
  why=$(install_chromium 2>&1 >/dev/null) || true
fi
if ! CHROMEDRIVER=$(driver); then
  echo "browser tests skipped: there is no Chromium with a driver that runs; apt says: $(tail -1 <<<"$why")"
  exit
fi
CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(runner)
export CHROMEDRIVER CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER
# Seconds for each of the programs; whatever hangs fails.
export WASM_BINDGEN_TEST_TIMEOUT=600
"${cargo[@]}" test "${flags[@]}" "$@"
echo "browser tests: $SECONDS s, with what they compiled"
