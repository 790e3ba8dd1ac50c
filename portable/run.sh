#!/usr/bin/env bash
# Checks, measures and tests this crate on a machine that has a GPU and no Rust, and reports:
#
#     run.sh [--minutes N] [--out DIRECTORY] [--adapter NAME] [--only PART,PART…] [--tests NAME,NAME…] [ARCHIVE]
#
# From the unpacked archive of pack.sh; or from anywhere, with the archive. The report, report.md, and all output,
# logs.tar.gz, are in DIRECTORY (selfnorm-report without one). After N minutes (8) what runs is stopped, nothing
# else is begun, and the report is written all the same. It is also written after each part, so that it is there
# however this ends. --adapter is a part of an adapter's name. Parts: quickstart check ops training frames fused small
# tests every_float scaling mnist deep peers tilings checked; --tests chooses among the test programs. PYTHON is the program that has
# PyTorch (python3).
# Exits with 0 if everything that ran passed.
set -u

usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; }
minutes=8 out=$PWD/selfnorm-report adapter='' only='' archive='' chosen='' python=${PYTHON:-python3}
while [ $# -gt 0 ]; do
  case $1 in
  --minutes) minutes=${2:?} && shift ;;
  --out) out=${2:?} && shift ;;
  --adapter) adapter=${2:?} && shift ;;
  --only) only=,${2:?}, && shift ;;
  --tests) chosen=,${2:?}, && shift ;;
  -h | --help) usage && exit ;;
  -*) usage >&2 && exit 2 ;;
  *) archive=$1 ;;
  esac
  shift
done
case $minutes in *[!0-9]* | '') echo 'the minutes are a whole number' >&2 && exit 2 ;; esac
SECONDS=0
deadline=$((minutes * 60))
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/selfnorm.XXXXXX") || exit 2
logs=$work/logs state=$work/state
mkdir -p "$logs/tests" "$state/tests" "$state/running" "$work/lib" "$work/tmp" "$work/cache" "$work/shaders" "$work/out"
: >"$state/parts" && : >"$state/notes"
ours=$(cd "$(dirname "$0")" && pwd)
original_path=${LD_LIBRARY_PATH-}
root='' linked='' made=''

note() { echo "- $*" >>"$state/notes"; }

# ---------------------------------------------------------------- at the end, whatever it is

finish() {
  local status=$?
  trap - EXIT INT TERM HUP
  # What still runs: those that would begin more first; then each `timeout`, which hands the signal on.
  for job in $(jobs -p); do kill -TERM "$job" 2>/dev/null; done
  for job in "$state"/running/*; do
    [ ! -e "$job" ] || kill -TERM "$(basename "$job")" 2>/dev/null
  done
  report
  [ -z "$linked" ] || rm -f "$root"
  # Folders that were made for the link, the innermost first.
  for folder in $made; do rmdir "$folder" 2>/dev/null; done
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'note "stopped by a signal"; exit 130' INT TERM HUP

# ---------------------------------------------------------------- the report

# "1.5ms" in microseconds.
to_us='function us(t) {
  if (t ~ /ns$/) return t / 1000
  if (t ~ /ms$/) return t * 1000
  if (t ~ /s$/ && t !~ /[^0-9.]s$/) return t * 1e6
  return t + 0
}
function show(t) {
  if (t == "" || t == 0) return ""
  if (t >= 1e5) return sprintf("%.0f ms", t / 1000)
  if (t >= 1000) return sprintf("%.2f ms", t / 1000)
  return sprintf("%.1f µs", t)
}'

line() { printf '| %s | %s |\n' "$1" "$2"; }
machine() {
  local name driver cpu memory system
  name=$(head -1 "$logs/quickstart.log" 2>/dev/null)
  driver=$(sed -n 2p "$logs/quickstart.log" 2>/dev/null)
  cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
  memory=$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
  system=$(sed -n 's/^PRETTY_NAME=//p' /etc/os-release 2>/dev/null | tr -d '"')
  line machine ''
  line --- ---
  [ ! -s "$state/smi" ] || line 'nvidia-smi: name, driver, memory, most MHz of SM and memory, watts at most' "$(paste -sd';' "$state/smi")"
  line adapter "$name; $driver"
  line 'Vulkan driver' "${VK_DRIVER_FILES:-as the loader chooses}"
  line loader "$loader"
  line processor "$cpu, $(nproc) threads, $memory"
  line system "$system, $(uname -sr), $(getconf GNU_LIBC_VERSION 2>/dev/null)"
  line built "selfnorm ${version:-?}, commit ${commit:-?}, ${rustc:-?}, on ${built_on:-?}"
}

# Ours beside PyTorch's: what each of the benches printed of the same work.
table() {
  echo '| work | ours, on the device | ours, call to end | PyTorch, on the device | PyTorch, call to end | PyTorch / ours |'
  echo '| --- | --- | --- | --- | --- | --- |'
  for file in ops scaling training peers; do [ -e "$logs/$file.log" ] || : >"$logs/$file.log"; done
  awk -F'\t' "$to_us"'
    function cell(row, i, parts) { split(row, parts, "|"); gsub(/^ +| +$/, "", parts[i]); return parts[i] }
    # The first that was measured stays.
    function put(name, host, device) {
      if (!(name in seen)) { known[++kinds] = name; seen[name] = 1 }
      if (host && !(name in mine)) mine[name] = host
      if (device && !(name in own)) own[name] = device
    }
    # What follows "on the device" in a line.
    function on_device(line) { return match(line, /on the device [^,]*/) ? us(substr(line, RSTART + 14, RLENGTH - 14)) : 0 }
    FILENAME ~ /ops.log$/ && /^\| [a-z_]+ \| [0-9]+ [KM]i \|/ {
      put(cell($0, 2) " " cell($0, 3), us(cell($0, 4)), us(cell($0, 7))); next
    }
    FILENAME ~ /scaling.log$/ && /^\| elements \|/ { n = split($0, names, "|"); for (i in names) gsub(/ /, "", names[i]); next }
    FILENAME ~ /scaling.log$/ && n && /^\| [0-9]+( [KMG]i)?( on the device)? \|.*\|.*\|/ {
      size = cell($0, 2)
      is_device = sub(/ on the device$/, "", size)
      if (size == "256 Mi" || size == "16 Mi") {
        for (i = 3; i < n; i++) { t = us(cell($0, i)); put(names[i] " " size, is_device ? 0 : t, is_device ? t : 0) }
      }
      next
    }
    FILENAME ~ /training.log$/ && /^(recorded inference|product|inference|inference and read) / {
      split($0, a, /: /); split(a[2], b, ",")
      # What is recorded many times in one submission is what the device takes for one.
      recorded = sub(/^recorded /, "", a[1])
      put(a[1], recorded ? 0 : us(b[1]), on_device($0)); next
    }
    FILENAME ~ /training.log$/ && /^a (recorded )?step of the tutorial.s network( in f16)?: / {
      split($0, a, /: /); split(a[2], b, ",")
      put(/in f16: / ? "step in f16 250" : "step 250", /^a recorded/ ? 0 : us(b[1]), on_device($0)); next
    }
    FILENAME ~ /peers.log$/ && NF >= 4 && !/^#/ {
      name = $1 " " $2
      order[++count] = name
      base[name] = name; sub(/^product, TF32 /, "product ", base[name]); sub(/, compiled /, " ", base[name])
      if (name ~ /^step/) base[name] = (name ~ /^step in f16/ ? "step in f16 " : "step ") $2
      device[name] = $3; call[name] = $4; why[name] = $5
      next
    }
    END {
      for (i = 1; i <= count; i++) {
        name = order[i]; m = mine[base[name]]; d = own[base[name]]; used[base[name]] = 1
        if (why[name] != "") { printf "| %s | %s | %s | %s | | |\n", name, show(d), show(m), why[name]; continue }
        is_call = name ~ /^(step|inference)/
        theirs = is_call ? call[name] : device[name]
        ours = is_call || !d ? m : d
        printf "| %s | %s | %s | %s | %s | %s |\n", name, show(d), show(m), show(device[name]), show(call[name]),
          ours ? sprintf("%.2f", theirs / ours) : ""
      }
      for (i = 1; i <= kinds; i++) {
        name = known[i]
        if (!(name in used) && name ~ /16 Mi|256 Mi|250|65536/) printf "| %s | %s | %s | | | |\n", name, show(own[name]), show(mine[name])
      }
    }' "$logs"/{ops,scaling,training,peers}.log
}

# Of what a test program printed: passed, failed and ignored tests, those too that it did not live to sum up.
counts() {
  awk '/^test .* \.\.\. / || /^(ok|FAILED|ignored)/ {
      if (/\.\.\. ok$|^ok$/) passed++
      else if (/\.\.\. FAILED$|^FAILED$/) failed++
      else if (/\.\.\. ignored/) ignored++
    }
    /^test result:/ { for (i = 1; i < NF; i++) { if ($(i+1) ~ /^passed/) p += $i; if ($(i+1) ~ /^failed/) f += $i; if ($(i+1) ~ /^ignored/) g += $i }; summed = 1 }
    END { if (summed) print p + 0, f + 0, g + 0; else print passed + 0, failed + 0, ignored + 0 }' "$1"
}

how() {
  case $1 in
  0) echo passed ;;
  skipped | running) echo "$1" ;;
  124) echo 'stopped: its time was over' ;;
  *) if [ "$1" -ge 128 ]; then echo "**crashed** (signal $(($1 - 128)))"; else echo "**failed** ($1)"; fi ;;
  esac
}

reported=0
report() {
  reported=$SECONDS
  local new=$work/report.md name rc seconds why file passed failed ignored
  {
    echo "# selfnorm on another machine"
    echo
    echo "$(date -u '+%Y-%m-%d %H:%M UTC'), ${SECONDS} s of ${deadline}."
    echo
    machine
    if [ -s "$state/notes" ]; then printf '\n' && cat "$state/notes"; fi
    printf '\n## Parts\n\n| part | | seconds | |\n| --- | --- | --- | --- |\n'
    while IFS=$'\t' read -r name rc seconds why; do
      echo "| $name | $(how "$rc") | $seconds | $why |"
    done <"$state/parts"
    printf '\n## Beside PyTorch\n\n'
    echo "On the device: ours by timestamps around many in one submission, PyTorch's by events around calls one after the other."
    echo "Call to end: as the host sees it; of our operations and products, a part of such a submission. Steps (several, not"
    echo "waited for one by one) and inference are compared from the call to its end, all else on the device, where its"
    echo "timestamps are known. f32 without TF32 where nothing else is said."
    echo
    table
    grep -h '^# ' "$logs/peers.log" 2>/dev/null
    printf '\n## Tests\n\n| program | | passed | failed | ignored | seconds | |\n| --- | --- | --- | --- | --- | --- | --- |\n'
    for file in "$state"/tests/*; do
      [ -e "$file" ] || continue
      name=$(basename "$file")
      IFS=$'\t' read -r rc seconds why <"$file"
      if [ -e "$logs/tests/$name.log" ]; then read -r passed failed ignored < <(counts "$logs/tests/$name.log"); else passed='' failed='' ignored=''; fi
      echo "| $name | $(how "$rc") | $passed | $failed | $ignored | $seconds | $why |"
    done
    if grep -qsE '^test .*FAILED' "$logs"/tests/*.log; then
      printf '\nFailed:\n\n```text\n'
      grep -sE '^test .*FAILED' "$logs"/tests/*.log | sed 's|.*/||' | sort -u | head -60
      echo
      # What they said.
      grep -shA6 'panicked at' "$logs"/tests/*.log | grep -vE '^(note:|stack backtrace|--$|   [ 0-9]*:)' | cut -c1-400 | head -120
      echo '```'
    fi
    for name in check ops training tilings checked frames fused small scaling every_float mnist deep quickstart; do
      [ -s "$logs/$name.log" ] || continue
      printf '\n## %s\n\n' "$name"
      # Tables as tables.
      if [[ $name =~ ^(check|every_float|tilings|checked)$ ]]; then
        sed 's/^### /#### /' "$logs/$name.log" | head -150
      else
        printf '```text\n' && cut -c1-300 "$logs/$name.log" | head -220 && echo '```'
      fi
    done
    if [ -s "$logs/peers.log" ] && grep -qv $'\t' "$logs/peers.log"; then
      printf '\n## peers: what else it said\n\n```text\n' && grep -v $'\t' "$logs/peers.log" | cut -c1-300 | tail -40 && echo '```'
    fi
  } >"$new" 2>"$work/report.err"
  mv "$new" "$out/report.md"
  # A test that prints without end must not fill the archive.
  find "$logs" -type f -size +4M -exec truncate -s 4M {} + 2>/dev/null
  tar -C "$work" -czf "$work/logs.tar.gz" logs 2>/dev/null && mv "$work/logs.tar.gz" "$out/logs.tar.gz"
  for picture in "$tree/docs/scaling.png" "$work/out/history.png" "$work/out/deep.png"; do
    [ ! -s "$picture" ] || cp "$picture" "$out/" 2>/dev/null
  done
}

tree='' loader='?'
if command -v nvidia-smi >/dev/null; then
  timeout 20 nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit \
    --format=csv,noheader >"$state/smi" 2>/dev/null || : >"$state/smi"
  timeout 20 nvidia-smi -q >"$logs/nvidia-smi.log" 2>&1
fi

# ---------------------------------------------------------------- the files

if [ ! -e "$ours/info" ]; then
  if [ -z "$archive" ]; then
    archives=("$ours"/selfnorm-portable*.tar.xz)
    archive=${archives[0]}
  fi
  [ -f "$archive" ] || { echo "there is no archive: pack.sh makes it" >&2 && note "there was no archive" && exit 2; }
  # tar asks xz, which may be missing.
  if command -v xz >/dev/null; then
    tar -C "$work" -xf "$archive"
  else
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1], "r:xz").extractall(sys.argv[2])' "$archive" "$work"
  fi || { note "the archive can't be unpacked" && exit 2; }
  ours=$work/selfnorm-portable
fi
source "$ours/info"
tree=$ours/tree
# Unpacking may have lost it.
chmod -R u+x "$ours"/{tests,benches,examples} 2>/dev/null

# Where the programs look for their files.
if [ "$root" = "$tree" ]; then
  :
elif [ -L "$root" ] && [ ! -e "$root" ]; then
  note "$root is a link to nothing: tests that read files fail"
elif [ ! -e "$root" ]; then
  folder=$(dirname "$root")
  while [ ! -e "$folder" ]; do made="$made $folder" && folder=$(dirname "$folder"); done
  mkdir -p "$(dirname "$root")" && ln -s "$tree" "$root" && linked=1 || note "no link can be made at $root: tests that read files fail"
elif [ -d "$root/tests/data" ] && [ "$(readlink -f "$root")" != "$(readlink -f "$tree")" ]; then
  note "$root was there: files are read from it, and the bench scaling writes docs/scaling.png to it"
  mkdir -p "$root/target/portable/tmp" 2>/dev/null
fi

# ---------------------------------------------------------------- loader and driver

known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null)
loader="the system's"
grep -q 'libvulkan\.so\.1' <<<"$known" || loader=none
# Only what is not there.
for library in "$ours"/lib/*.so.*; do
  [ -e "$library" ] || continue
  name=$(basename "$library")
  grep -q "^[[:space:]]*${name//./\\.} " <<<"$known" || ln -s "$library" "$work/lib/$name"
done
[ ! -e "$work/lib/libvulkan.so.1" ] || loader="this archive's"
[ -z "$(ls "$work/lib")" ] || export LD_LIBRARY_PATH=$work/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# A GPU's drivers before software, wherever their manifests are.
folders=(/etc/vulkan/icd.d /usr/share/vulkan/icd.d /usr/local/share/vulkan/icd.d /usr/local/etc/vulkan/icd.d
  /usr/local/nvidia/share/vulkan/icd.d /opt/nvidia/share/vulkan/icd.d /opt/amdgpu/etc/vulkan/icd.d
  "${XDG_DATA_HOME:-$HOME/.local/share}/vulkan/icd.d")
manifests() {
  local folder
  for folder in "${folders[@]}"; do find -L "$folder" -maxdepth 1 -name '*.json' 2>/dev/null; done | awk '!seen[$0]++'
}
hardware() { grep -viE '/[^/]*(lvp|lavapipe|swiftshader|llvmpipe|gfxstream|virtio|dzn)[^/]*$'; }
manifests >"$logs/manifests"
probe() {
  timeout -k 5 60 "$ours/examples/quickstart" >"$logs/quickstart.log" 2>&1 </dev/null
  local status=$?
  # What it says of an adapter, and of results, is another matter.
  ! grep -qE 'no GPU adapter found|no adapter with' "$logs/quickstart.log" && [ -s "$logs/quickstart.log" ] && return 0
  return $((status ? status : 1))
}
is_gpu() { head -1 "$logs/quickstart.log" | grep -qvE '\(Cpu\)$'; }
drivers() { export VK_DRIVER_FILES=$1 VK_ICD_FILENAMES=$1; }

[ -z "$adapter" ] || export WGPU_ADAPTER_NAME=$adapter
export WGPU_BACKEND=${WGPU_BACKEND:-vulkan}
# Nothing of this user's is read or written; and files of the driver in the home directory would be found by a test.
export XDG_CACHE_HOME=$work/cache TMPDIR=$work/tmp __GL_SHADER_DISK_CACHE_PATH=$work/shaders RUST_BACKTRACE=0
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$work/tmp}
for vendor in /usr/local/nvidia/share/glvnd/egl_vendor.d/10_nvidia.json /usr/share/glvnd/egl_vendor.d/10_nvidia.json; do
  [ ! -e "$vendor" ] || [ -n "${__EGL_VENDOR_LIBRARY_FILENAMES-}" ] || export __EGL_VENDOR_LIBRARY_FILENAMES=$vendor
done
found=
if [ -n "${VK_DRIVER_FILES-}${VK_ICD_FILENAMES-}" ]; then
  # As it was asked for.
  export VK_DRIVER_FILES=${VK_DRIVER_FILES:-$VK_ICD_FILENAMES} VK_ICD_FILENAMES=${VK_ICD_FILENAMES:-$VK_DRIVER_FILES}
  probe && found=1
else
  gpus=$(hardware <"$logs/manifests" | paste -sd:)
  if [ -n "$gpus" ]; then drivers "$gpus" && probe && found=1; fi
  # NVIDIA's library is its driver, whatever manifest is missing or is for a display.
  if [ -z "$found" ] || ! is_gpu; then
    for name in libGLX_nvidia.so.0 libEGL_nvidia.so.0; do
      library=$(awk -v name="$name" '$1 == name { print $NF; exit }' <<<"$known")
      library=${library:-$(find /usr/lib /usr/lib64 /usr/local/nvidia /opt -name "$name" 2>/dev/null | head -1)}
      [ -n "$library" ] || continue
      printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.3.0"}}\n' "$library" >"$work/$name.json"
      drivers "$work/$name.json"
      cp "$logs/quickstart.log" "$logs/quickstart.before.log" 2>/dev/null
      if probe && is_gpu; then
        found=1 && note "the driver was found by its library alone, $library" && break
      fi
      found=
    done
  fi
  if [ -z "$found" ]; then
    unset VK_DRIVER_FILES VK_ICD_FILENAMES
    probe && found=1
  fi
fi

# ---------------------------------------------------------------- parts

wanted() { [ -z "$only" ] || [[ $only == *,$1,* ]]; }

# NAME STATUS SECONDS WHY
record() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "${3:--}" "$4" >>"$state/parts"; }

# limited NAME SECONDS COMMAND…: its status, and its output in NAME.log; $took is its time.
limited() {
  local name=$1 limit=$2 begin=$EPOCHREALTIME status
  shift 2
  # In the background, so that a signal to this script is not kept waiting.
  timeout -k 5 "$limit" "$@" >"$logs/$name.log" 2>&1 </dev/null &
  local child=$!
  : >"$state/running/$child"
  wait "$child"
  status=$?
  rm -f "$state/running/$child"
  took=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $begin }")
  # Killed because it did not end by itself, or by something else.
  if [ $status = 137 ] && awk "BEGIN { exit !($took >= $limit) }"; then status=124; fi
  return $status
}

# A share of the time in all, in eighths of a minute's seconds: limits are for 8 minutes.
share() { echo $(($1 * minutes / 8 > 5 ? $1 * minutes / 8 : 5)); }

part() {
  local name=$1 limit left=$((deadline - SECONDS)) status
  limit=$(share "$2")
  shift 2
  wanted "$name" || return 0
  if [ $left -lt 5 ]; then record "$name" skipped '' 'no time was left' && report && return 0; fi
  [ $limit -le $left ] || limit=$left
  echo "$SECONDS s: $name" >&2
  limited "$name" "$limit" "$@" 2>/dev/null
  status=$?
  record "$name" "$status" "$took" "$([ $status != 124 ] || echo "$limit s")"
  report
}

if [ -z "$found" ]; then
  note "**no GPU adapter was found**; nothing was run. What the loader says is in logs/loader.log."
  VK_LOADER_DEBUG=all timeout 30 "$ours/examples/quickstart" >"$logs/loader.log" 2>&1 </dev/null
  { echo "manifests:" && cat "$logs/manifests" && echo && echo "$known" | grep -iE 'vulkan|nvidia|libGL|libEGL' && ldd "$ours/examples/quickstart"; } >"$logs/system.log" 2>&1
  ls -l /dev/nvidia* /dev/dri >>"$logs/system.log" 2>&1
  record quickstart "$(probe >/dev/null 2>&1; echo $?)" '' "$(tail -1 "$logs/quickstart.log" | cut -c1-160)"
  exit 3
fi
head -2 "$logs/quickstart.log" >&2
is_gpu || note 'the adapter is software: its times say nothing of a GPU'
grep -q 'Every value is within' "$logs/quickstart.log" || note 'quickstart found a value beyond its bound, or did not end; see below'
report

part check 70 "$ours/examples/check_device"
part ops 60 "$ours/benches/ops"
part training 60 "$ours/benches/training"
part frames 30 "$ours/benches/frames"
part fused 30 "$ours/benches/fused"
part small 20 "$ours/benches/small"

# ---------------------------------------------------------------- tests

# One, in a folder of its own, as cargo runs it in the package's. Where it crashes, each of its tests again by itself.
run_test() {
  local name=$1 limit=$2 status took one total=0 left
  cd "$tree" || return
  limited "tests/$name" "$limit" "$ours/tests/$name" --nocapture 2>/dev/null
  status=$?
  local why='' seconds=$took
  [ $status != 124 ] || why="$limit s"
  if [ $status -ge 128 ]; then
    why='its tests again, one by one:'
    cp "$logs/tests/$name.log" "$logs/tests/$name.crash.txt"
    : >"$logs/tests/$name.log"
    while read -r one; do
      left=$((tests_end - SECONDS))
      if [ $left -lt 3 ]; then why+=' (time was over)' && break; fi
      limited "tests/$name.one" $((left < 60 ? left : 60)) "$ours/tests/$name" --exact "$one" 2>/dev/null
      local rc=$?
      sed '/^running 1 test$/d;/^test result:/d' "$logs/tests/$name.one.log" >>"$logs/tests/$name.log"
      if [ $rc -ge 124 ]; then echo "test $one ... FAILED" >>"$logs/tests/$name.log" && why+=" $one: $(how $rc);"; fi
      total=$((total + 1))
    done < <("$ours/tests/$name" --list --format terse 2>/dev/null | sed -n 's/: test$//p')
    rm -f "$logs/tests/$name.one.log"
    [ $total -gt 0 ] || cp "$logs/tests/$name.crash.txt" "$logs/tests/$name.log"
  fi
  printf '%s\t%s\t%s\n' "$status" "$seconds" "$why" >"$state/tests/$name"
}

# The first are what the crate promises of numbers, the last need hardly any GPU.
order='ops nn device lib faults allocations shaders'
every_float=
if wanted tests || wanted every_float; then
  begin=$SECONDS
  # A quarter of the time stays for what comes after.
  tests_end=$((SECONDS + $(share 240)))
  [ $tests_end -le $((deadline * 3 / 4)) ] || tests_end=$((deadline * 3 / 4))
  [ $tests_end -ge $((SECONDS + 20)) ] || tests_end=$((SECONDS + 20))
  [ $tests_end -le $deadline ] || tests_end=$deadline
  # It takes two threads of the host, and the time of nothing that is measured.
  if wanted every_float && [ "$(nproc)" -ge 8 ] && [ $((tests_end - SECONDS)) -ge 20 ]; then
    (
      limited every_float $((tests_end - SECONDS)) "$ours/examples/check_device" --every-float 2>/dev/null
      printf '%s\t%s\n' $? "$took" >"$state/every_float"
    ) &
    every_float=$!
  fi
  if wanted tests; then
    echo "$SECONDS s: tests" >&2
    # Each has a thread for each processor, and its own device.
    workers=$((($(nproc) + 3) / 4))
    [ $workers -le 4 ] || workers=4
    mkfifo "$state/turns" && exec 7<>"$state/turns"
    for ((i = 0; i < workers; i++)); do echo >&7; done
    running=() names=
    for name in $order $(ls "$ours/tests"); do
      [ -x "$ours/tests/$name" ] && [[ "$names " != *" $name "* ]] || continue
      [ -z "$chosen" ] || [[ $chosen == *,$name,* ]] || continue
      names+=" $name"
      read -r -t $((tests_end > SECONDS ? tests_end - SECONDS + 1 : 1)) -u7 || true
      left=$((tests_end - SECONDS))
      if [ $left -lt 3 ]; then printf 'skipped\t-\tno time was left\n' >"$state/tests/$name" && continue; fi
      (
        trap - EXIT INT TERM HUP
        run_test "$name" "$left"
        echo >&7
      ) &
      running+=($!)
      [ $((SECONDS - reported)) -lt 20 ] || report
    done
    [ ${#running[@]} = 0 ] || wait "${running[@]}"
    bad=$(cat "$state"/tests/* | cut -f1 | grep -vcxE '0|skipped')
    skipped=$(cat "$state"/tests/* | cut -f1 | grep -cx skipped)
    record tests "$((bad > 0))" $((SECONDS - begin)) "$(ls "$state/tests" | wc -l) programs, $workers at a time: $bad did not pass, $skipped not begun"
  fi
  if [ -n "$every_float" ]; then
    wait "$every_float"
    IFS=$'\t' read -r status took <"$state/every_float"
    record every_float "$status" "$took" 'beside the tests'
  fi
  report
fi
[ -n "$every_float" ] || part every_float 200 "$ours/examples/check_device" --every-float

# ---------------------------------------------------------------- the rest

part scaling 60 "$ours/benches/scaling"
if [ -d "$ours/mnist" ]; then
  part mnist 60 "$ours/examples/mnist" "$ours/mnist" --epochs 5 --out "$work/out"
else
  part mnist 30 "$ours/examples/mnist" --out "$work/out"
fi
part deep 30 "$ours/examples/deep" --out "$work/out"
if wanted peers; then
  if LD_LIBRARY_PATH=$original_path timeout 60 "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    part peers 150 env LD_LIBRARY_PATH="$original_path" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 "$python" "$ours/peers.py"
  else
    record peers skipped '' "$python has no PyTorch with CUDA"
  fi
fi
# What explains the times above.
part tilings 60 "$ours/benches/tilings"
part checked 60 "$ours/benches/checked"
[ -z "$(cut -f2 "$state/parts" | grep -vxE '0|skipped')" ]
