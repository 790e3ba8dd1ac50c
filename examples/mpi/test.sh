#!/usr/bin/env bash
# What the ranks promise, on this machine: two, and four if you say so, train what one does, with the same bits on each
# and again; a rank that is killed ends all, and the training goes on from its checkpoint with another number of ranks.
#
#     examples/mpi/test.sh [RANKS…]
#
# Needs OpenMPI and bindgen's libclang: apt-get install libopenmpi-dev openmpi-bin libclang-dev. Builds in
# CARGO_TARGET_DIR, or the crate's own target folder; PROFILE=release is faster to run.
set -euo pipefail
cd "$(dirname "$0")"
ranks=("${@:-2}")
profile=${PROFILE:-dev}
cargo build --quiet --profile "$profile"
program=${CARGO_TARGET_DIR:-target}/$([ "$profile" = dev ] && echo debug || echo "$profile")/selfnorm-mpi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# Containers' users are root, and have fewer cores than ranks.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
on() { mpirun --oversubscribe -n "$@" 2>>"$out/errors"; }
fail() { echo "$*" && tail "$out/errors" && exit 1; }

# The numbers of its losses differ by less than 10^-4 of them, which sums in another order may.
same_losses() {
  paste <(grep -oE '[0-9]+\.[0-9]{6}' "$1") <(grep -oE '[0-9]+\.[0-9]{6}' "$2") |
    awk '{ d = $1 - $2; if (NF != 2 || d * d > 1e-8 * $1 * $1) wrong = 1 } END { exit wrong || !NR }'
}
on 1 "$program" --epochs 2 >"$out/one" || fail 'one rank fails'
for n in "${ranks[@]}"; do
  on "$n" "$program" --epochs 2 >"$out/first" || fail "$n ranks fail"
  on "$n" "$program" --epochs 2 >"$out/again" || fail "$n ranks fail"
  diff "$out/first" "$out/again" || fail "$n ranks train something else the second time"
  same_losses "$out/one" "$out/first" || fail "$n ranks do not train what one does"
  echo "$n ranks: $(tail -1 "$out/first")"
done

n=${ranks[0]}
on "$n" "$program" --epochs 100000 --checkpoint "$out/checkpoint" >"$out/killed" &
mpirun=$!
for ((i = 0; i < 600; i++)); do
  [ -e "$out/checkpoint" ] && break
  sleep 0.1
done
# The last of them, which is not the one that saves.
rank=$(pgrep -P "$(pgrep -P $mpirun mpirun || echo $mpirun)" | tail -1)
kill -9 "$rank"
for ((i = 0; i < 200; i++)); do
  kill -0 $mpirun 2>/dev/null || break
  sleep 0.1
done
kill -0 $mpirun 2>/dev/null && kill $mpirun && fail 'twenty seconds after one is dead, the others run'
wait $mpirun && fail 'a dead rank is no error'
grep -E 'mpirun noticed|exited on signal' "$out/errors" | head -1
epoch=$(sed -n 's/^epoch \([0-9]*\):.*/\1/p' "$out/killed" | tail -1)
on $((n + 1)) "$program" --epochs $((epoch + 3)) --checkpoint "$out/checkpoint" >"$out/resumed" || fail 'it does not go on'
grep -E '^epoch' "$out/resumed" | head -1
first=$(sed -n 's/^epoch \([0-9]*\):.*/\1/p' "$out/resumed" | head -1)
# The last checkpoint may be of the epoch that nobody has printed yet.
[ "$first" -gt 1 ] && [ "$first" -le $((epoch + 2)) ] || fail "after epoch $epoch it goes on with $first"
echo "killed in epoch $((epoch + 1)) of $n ranks, goes on with epoch $first on $((n + 1))"
