#!/usr/bin/env bash
# Fuzzes every target for so many seconds, 15 without an argument, from the seeds and from what an
# earlier run has left in corpus/. Fails with the first input that crashes, and says where it lies.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-15}

command -v c++ >/dev/null || $(command -v sudo) apt-get install -y g++

# What cargo-fuzz would pass, without the minutes that it takes to compile. The sanitizer is not stable; with
# RUSTC_BOOTSTRAP a stable compiler has it, too.
export RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER=$PWD/rustc
export RUSTFLAGS='--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares'
RUSTFLAGS=$(tr -d '\n' <<<"$RUSTFLAGS")
target=$(rustc -vV | sed -n 's/^host: //p')
# Naming the target keeps the flags from build scripts and macros.
cargo build --quiet --release --target "$target" --bins

# A driver's and its compiler's own memory lasts as long as the process.
export ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0
for program in fuzz_targets/*.rs; do
  name=$(basename "$program" .rs)
  printf '\n-- %s, %s s\n' "$name" "$seconds"
  mkdir -p "corpus/$name" "artifacts/$name"
  # A header's length or a packed file must not take what the file itself can't have: 64 MiB at once
  # are far more than 4 KiB explain.
  if ! output=$("target/$target/release/$name" "corpus/$name" "seeds/$name" \
    -artifact_prefix="artifacts/$name/" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -malloc_limit_mb=64 -rss_limit_mb=1024 -print_final_stats=1 2>&1); then
    echo "$output"
    exit 1
  fi
  grep 'INITED\|DONE\|peak_rss' <<<"$output"
done
