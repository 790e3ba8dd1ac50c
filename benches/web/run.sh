#!/usr/bin/env bash
# Builds the pages of this folder, runs them in headless Chromium with SwiftShader as its GPU, and prints
# what they measure:
#
#     benches/web/run.sh                    # everything, half an hour
#     benches/web/run.sh operations selu    # one part, with the operations whose name contains this
#
# The parts are sizes, operations, beside, digits, tutorial, tasks and first. Needs node and npm, Chromium (CHROMIUM
# says where, /usr/bin/chromium otherwise), the target wasm32-unknown-unknown, and wasm-bindgen of the
# version in Cargo.lock: cargo install wasm-bindgen-cli --version VERSION.
set -euo pipefail
cd "$(dirname "$0")"

npm ci --silent --no-audit --no-fund
cargo build --quiet --release --target wasm32-unknown-unknown --lib --examples
built=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
for module in selfnorm_web examples/operations examples/network; do
  wasm=$built/wasm32-unknown-unknown/release/$module.wasm
  page=$built/pkg/$(basename "$module")
  wasm-bindgen --target web --out-dir "$built/pkg" "$wasm"
  # The one of npm: that of Debian 12 breaks what wasm-bindgen makes.
  npx wasm-opt -O3 "${page}_bg.wasm" -o "${page}_bg.wasm"
done
PKG=$built/pkg node run.mjs "$@"
