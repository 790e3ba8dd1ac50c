#!/usr/bin/env bash
# Fuzzes every target for the given number of seconds, 15 by default, starting from the seeds and
# from the corpus/ of earlier runs. Fails at the first input that crashes, and says where it is.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-15}

command -v c++ >/dev/null || $(command -v sudo) apt-get install -y g++

# The flags that cargo-fuzz would pass, without the minutes that it takes to compile. Some are unstable;
# RUSTC_BOOTSTRAP makes a stable compiler accept them.
export RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER=$PWD/rustc
export RUSTFLAGS='--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
  -Cllvm-args=-sanitizer-coverage-stack-depth'
RUSTFLAGS=$(tr -d '\n' <<<"$RUSTFLAGS")
target=$(rustc -vV | sed -n 's/^host: //p')
# Naming the target keeps the flags from build scripts and macros.
cargo build --quiet --release --target "$target" --bins

# A driver and its compiler keep their own memory as long as the process lasts. Rust's own statics are in
# several objects, which is no violation.
export ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0
for program in fuzz_targets/*.rs; do
  name=$(basename "$program" .rs)
  printf '\n-- %s, %s s\n' "$name" "$seconds"
  mkdir -p "corpus/$name" "artifacts/$name"
  # Neither a length in a header nor a packed file may allocate more than the file can hold: 64 MiB
  # at once is far more than 8 KiB can justify. A software device may compile a pipeline for seconds.
  if ! output=$("target/$target/release/$name" "corpus/$name" "seeds/$name" \
    -artifact_prefix="artifacts/$name/" -max_total_time="$seconds" -max_len=8192 -timeout=60 \
    -malloc_limit_mb=64 -rss_limit_mb=1024 -print_final_stats=1 2>&1); then
    echo "$output"
    exit 1
  fi
  grep 'INITED\|DONE\|peak_rss' <<<"$output"
done
