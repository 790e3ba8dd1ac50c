#!/usr/bin/env bash
# Fuzzes every target for so many seconds, 15 without an argument, from the seeds and from what an
# earlier run has left in corpus/. Fails with the first input that crashes, and says where it lies.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-15}

command -v c++ >/dev/null || $(command -v sudo) apt-get install -y g++
command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz

# What the sanitizer needs is not stable; with this a stable compiler takes it too.
export RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER=$PWD/rustc
# A driver's and its compiler's own memory lasts as long as the process.
export ASAN_OPTIONS=detect_leaks=0
cargo fuzz build --codegen-units 16

for target in $(cargo fuzz list); do
  printf '\n-- %s, %s s\n' "$target" "$seconds"
  mkdir -p "corpus/$target"
  # A header's length or a packed file must not take what the file itself can't have: 64 MiB at once
  # are far more than 4 KiB explain.
  if ! output=$(cargo fuzz run --codegen-units 16 "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -malloc_limit_mb=64 -rss_limit_mb=1024 -print_final_stats=1 2>&1); then
    echo "$output"
    exit 1
  fi
  grep 'INITED\|DONE\|peak_rss' <<<"$output"
done
