#!/usr/bin/env bash
# Fuzzes every target for the given number of seconds, 15 by default, starting from the seeds and
# from the corpus/ of earlier runs. Fails at the first input that crashes, and says where it is.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-15}

command -v c++ >/dev/null || $(command -v sudo) apt-get install -y g++
command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz

# The sanitizer needs unstable flags; this makes a stable compiler accept them.
export RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER=$PWD/rustc
# A driver and its compiler keep their own memory as long as the process lasts.
export ASAN_OPTIONS=detect_leaks=0
cargo fuzz build --codegen-units 16

for target in $(cargo fuzz list); do
  printf '\n-- %s, %s s\n' "$target" "$seconds"
  mkdir -p "corpus/$target"
  # Neither a length in a header nor a packed file may allocate more than the file can hold: 64 MiB
  # at once is far more than 4 KiB can justify.
  if ! output=$(cargo fuzz run --codegen-units 16 "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -malloc_limit_mb=64 -rss_limit_mb=1024 -print_final_stats=1 2>&1); then
    echo "$output"
    exit 1
  fi
  grep 'INITED\|DONE\|peak_rss' <<<"$output"
done
