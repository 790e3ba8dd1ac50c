#!/usr/bin/env bash
# Runs a command on each of four software adapters, one after the other, and says how each went:
#
#     tests/adapters.sh cargo run --release --example check_device
#     ADAPTERS='swiftshader llvmpipe-gl' tests/adapters.sh cargo test --test ops selu::
#
# The drivers are packages of Debian 12, unpacked to target/adapters and found by environment variables;
# nothing is installed. They come from the archive or mirror that the system's own apt uses, with its proxy
# and credentials. Needs apt-get, dpkg and Debian's archive key (the package debian-archive-keyring).
# A driver that cannot be fetched is skipped, and the summary says why.
#
# A fifth runs only when named: the first driver under Vulkan's validation layer. It fails if the layer
# reports an error or a warning from any of the command's processes:
#
#     ADAPTERS=validation tests/adapters.sh cargo test
#
# So do two drivers at once, the first and SwiftShader's, which are two adapters of one machine:
#
#     ADAPTERS=two tests/adapters.sh cargo test --test nn all_adapters
#
# And one more, the only one with cooperative matrices, which is of Debian 13, and runs with that release's C
# library. Tests that start their own program again don't find it there:
#
#     ADAPTERS=lavapipe-26 tests/adapters.sh cargo test --test nn precision::
set -uo pipefail

all='lavapipe-22 lavapipe-25 swiftshader llvmpipe-gl'
folder=$(cd "$(dirname "$0")/.." && pwd)/target/adapters

if [ $# -eq 0 ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
  exit 2
fi

. "$(dirname "$0")/debian.sh"

# Debian's package lists of a release, once.
lists() {
  [ -e "$folder/apt/ready" ] && return
  apt_of_our_own && add "$1" && add "$1-backports" || return
  # Where the system has no source of security updates, the packages are those of the last point release.
  add "$1-security"
  touch "$folder/apt/ready"
}

# What is a running system's own, unless its release is another.
system='(libc6|libgcc-s1|gcc-.*|libstdc\+\+6|dpkg|tar|media-types|(lib)?python3.*|libssl3|lib.*krb5.*)'

# unpack ADAPTER APT-GET-ARGUMENTS: packages to $folder/ADAPTER, with what they need but $system.
unpack() {
  local adapter=$1 unpacked=$folder/$1 packages url file hash
  shift
  [ -e "$unpacked/ready" ] && return
  lists "${release:-bookworm}" || return
  local -x APT_CONFIG=$folder/apt/apt.conf
  packages=$(apt-get -qq --print-uris "$@" | cut -d' ' -f1,2,4 | tr -d "'" | grep -Ev " ${system}_") || return
  mkdir -p "$unpacked" "$folder/packages" && cd "$folder/packages" || return
  while read -r url file hash; do
    if ! [ -e "$file" ]; then
      /usr/lib/apt/apt-helper -qq download-file "$url" "$file" "$hash" || return
    fi
    dpkg --extract "$file" "$unpacked" || return
  done <<<"$packages"
  touch "$unpacked/ready"
}

fetch() {
  case $1 in
  lavapipe-22) unpack "$1" install mesa-vulkan-drivers libvulkan1 ;;
  lavapipe-25) unpack "$1" -t bookworm-backports install mesa-vulkan-drivers libvulkan1 ;;
  lavapipe-26)
    folder=$folder/trixie release=trixie system=none
    unpack "$1" -t trixie-backports install mesa-vulkan-drivers libvulkan1
    ;;
  # Of Chromium only SwiftShader's driver is wanted, which needs nothing.
  swiftshader) unpack "$1-loader" install libvulkan1 && unpack "$1" download chromium-common ;;
  two) fetch lavapipe-22 && fetch swiftshader && mkdir -p "$folder/two" ;;
  llvmpipe-gl) unpack "$1" install libegl1 libegl-mesa0 libgles2 libgl1-mesa-dri ;;
  validation) unpack "$1" install mesa-vulkan-drivers libvulkan1 vulkan-validationlayers ;;
  esac
}

# on ADAPTER COMMAND: in an environment that has this driver alone.
on() {
  local adapter=$1 unpacked=$folder/$1 libraries manifest
  shift
  case $unpacked in
  *-gl)
    libraries=$(dirname "$(find "$unpacked/usr/lib" -name libEGL.so.1)")
    env WGPU_BACKEND=gl LD_LIBRARY_PATH="$libraries" LIBGL_DRIVERS_PATH="$libraries/dri" LIBGL_ALWAYS_SOFTWARE=1 \
      __EGL_VENDOR_LIBRARY_FILENAMES="$unpacked/usr/share/glvnd/egl_vendor.d/50_mesa.json" "$@"
    ;;
  */lavapipe-26)
    unpacked=$folder/trixie/lavapipe-26
    libraries=$(dirname "$(find "$unpacked/usr/lib" -name libvulkan_lvp.so)")
    manifest=$unpacked/driver.json
    printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.1.0"}}\n' \
      "$libraries/libvulkan_lvp.so" >"$manifest"
    # Cargo itself stays with this system's libraries.
    local runner="$(find "$libraries" -name 'ld-linux*') --library-path $libraries"
    [ "$1" = cargo ] || set -- $runner "$@"
    env WGPU_BACKEND=vulkan VK_DRIVER_FILES="$manifest" VK_ICD_FILENAMES="$manifest" \
      "CARGO_TARGET_$(uname -m | tr '[:lower:]' '[:upper:]')_UNKNOWN_LINUX_GNU_RUNNER=$runner" "$@"
    ;;
  *)
    local folders=("$unpacked" "$unpacked-loader") driver manifests=
    [ "$adapter" != two ] || folders=("$folder/lavapipe-22" "$folder/swiftshader")
    libraries=$(find "${folders[@]}" \( -name libvulkan.so.1 -o -name libvulkan_lvp.so -o -name libvk_swiftshader.so \) \
      -printf '%h\n' 2>/dev/null | sort -u | paste -sd:)
    for driver in $(find "${folders[@]}" -name libvulkan_lvp.so -o -name libvk_swiftshader.so 2>/dev/null); do
      manifest=$unpacked/$(basename "$driver").json
      printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.1.0"}}\n' "$driver" >"$manifest"
      manifests+=${manifests:+:}$manifest
    done
    env WGPU_BACKEND=vulkan LD_LIBRARY_PATH="$libraries" VK_DRIVER_FILES="$manifests" VK_ICD_FILENAMES="$manifests" "$@"
    ;;
  esac
}

# validated COMMAND: with the validation layer, whose messages must be none.
validated() {
  local unpacked=$folder/validation log=$folder/validation/log layer reader result messages
  layer=$(dirname "$(find "$unpacked" -name VkLayer_khronos_validation.json)")
  # A process that opens the log empties it, so that many can only share a pipe.
  rm -f "$unpacked/pipe" && mkfifo "$unpacked/pipe" || return
  exec 9<>"$unpacked/pipe"
  cat <"$unpacked/pipe" >"$log" 9>&- &
  reader=$!
  cat >"$unpacked/vk_layer_settings.txt" <<EOF
khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG
khronos_validation.log_filename = $unpacked/pipe
khronos_validation.report_flags = error,warn,perf,info
khronos_validation.enable_message_limit = false
khronos_validation.enables = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
khronos_validation.disables = VK_VALIDATION_FEATURE_DISABLE_SHADER_VALIDATION_CACHE_EXT
EOF
  # Shaders' debugging information names WGSL as their source, a number that this layer is too old for, and
  # goes no further.
  on validation env WGPU_DEBUG=0 VK_LAYER_PATH="$layer" VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation \
    VK_LAYER_SETTINGS_PATH="$unpacked/vk_layer_settings.txt" "$@" 9>&-
  result=$?
  # Without a writer the reader comes to an end.
  exec 9>&-
  wait $reader
  # The layer says that it is there each time that it is loaded.
  if ! grep -q 'Validation Layer Active' "$log"; then
    echo "the validation layer was not loaded, see $log" >&2
    return 1
  fi
  messages=$(grep -E 'Validation (Error|Warning|Performance Warning):' "$log" | sort | uniq -c | sort -rn)
  if [ -n "$messages" ]; then
    printf '%s\nthe validation layer said this, see %s\n' "$messages" "$log" >&2
    return 1
  fi
  return $result
}

summary=
status=0
ran=
for adapter in ${ADAPTERS:-$all}; do
  printf '\n== %s\n' "$adapter"
  mkdir -p "$folder"
  case " $all validation two lavapipe-26 " in
  *" $adapter "*) ;;
  *)
    echo "no such adapter; there are $all validation two lavapipe-26" >&2
    exit 2
    ;;
  esac
  # Lists of an earlier day may name packages that are gone.
  if ! why=$( (fetch "$adapter" || (rm -f "$folder"/{,trixie/}apt/ready && fetch "$adapter")) 2>&1 >/dev/null); then
    summary+=$(printf '%-12s skipped: %s' "$adapter" "$(tail -1 <<<"$why")")$'\n'
  elif ([ "$adapter" = validation ] && run=validated || run="on $adapter"; $run "$@"); then
    summary+=$(printf '%-12s passed' "$adapter")$'\n'
    ran=1
  else
    summary+=$(printf '%-12s FAILED' "$adapter")$'\n'
    status=1
  fi
done
printf '\n%s' "$summary"
[ -n "$ran" ] || status=1
exit $status
