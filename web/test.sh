#!/usr/bin/env bash
# Tests the page in headless Chromium, with WebGPU on a software GPU. A bare Debian or Ubuntu will do.
# With a folder as argument, photographs go there.
set -euo pipefail
cd "$(dirname "$0")"
export CHROMIUM
for CHROMIUM in "${CHROMIUM:-}" chromium google-chrome; do
  CHROMIUM=$(command -v "$CHROMIUM") && break
done || true
if [ -z "$CHROMIUM" ] || ! command -v npm >/dev/null; then
  sudo=$(command -v sudo) || true
  $sudo apt-get update -qq
  command -v npm >/dev/null || $sudo apt-get install -qq -y --no-install-recommends nodejs npm >/dev/null
  if [ -z "$CHROMIUM" ]; then
    $sudo apt-get install -qq -y --no-install-recommends chromium >/dev/null
    CHROMIUM=$(command -v chromium)
  fi
fi
npm ci --silent --no-audit --no-fund
./build.sh
PHOTOGRAPHS=${1:+$(realpath "$1")} node --test --test-reporter spec tests/page.test.js
