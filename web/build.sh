#!/usr/bin/env bash
# Builds the page into dist/: static files for any host, also in a folder of one.
#
# Needs Rust, which gets the target wasm32-unknown-unknown. wasm-bindgen is fetched to target/ unless there is one of the
# version in Cargo.lock; wasm-opt (binaryen), if there is one, in web/node_modules for
# example, makes the code smaller.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/wasm_target.sh
cd web
code=target/$target/release/selfnorm_web.wasm

version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
for bindgen in wasm-bindgen ../target/wasm-bindgen/bin/wasm-bindgen; do
  if [ "$("$bindgen" --version 2>/dev/null)" = "wasm-bindgen $version" ]; then
    found=$bindgen
    break
  fi
done
if [ -z "${found-}" ]; then
  cargo install --quiet wasm-bindgen-cli --version "$version" --root ../target/wasm-bindgen
fi

"${cargo[@]}" build --quiet --release --locked "${flags[@]}"
rm -rf dist
mkdir dist
"$bindgen" --target web --out-dir dist --out-name selfnorm_web "$code"
# Old ones, such as Debian 12's, mix up the tables of code of today.
optimized=false
for optimizer in wasm-opt node_modules/.bin/wasm-opt; do
  if [[ "$("$optimizer" --version 2>/dev/null)" =~ version\ ([0-9]+) ]] && ((BASH_REMATCH[1] >= 120)); then
    "$optimizer" -Oz --enable-bulk-memory --enable-multivalue --enable-mutable-globals \
      --enable-nontrapping-float-to-int --enable-reference-types --enable-sign-ext \
      dist/selfnorm_web_bg.wasm -o dist/selfnorm_web_bg.wasm
    optimized=true
    break
  fi
done
$optimized || echo 'A quarter larger than it could be: there is no wasm-opt of version 120 or later (npm ci in web/ has one).'
rm -f dist/*.d.ts
cp page/* dist
for file in dist/selfnorm_web_bg.wasm dist/selfnorm_web.js; do
  printf '%s: %s bytes, %s gzipped\n' "$file" "$(stat -c %s "$file")" "$(gzip -9 <"$file" | wc -c)"
done
