#!/usr/bin/env bash
# Puts what tests need beside cargo where they look for it: Anvil, the EVM node that they run against,
# at .tools/bin/anvil, and viem beside it, which holds the code of the real Multicall3 contract;
# openapi-typescript, which makes types of the API's document; Schemathesis, which tries the API by it;
# what drives a browser in tests/browser/node_modules; and Chromium itself, where that is allowed.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.7.1
anvil=.tools/bin/anvil
# Holds the code of the real Multicall3 contract.
viem=2.38.0
contracts=.tools/node_modules/viem/constants/contracts.ts
types=7.13.0
types_bin=.tools/node_modules/.bin/openapi-typescript
schemathesis=4.32.5
schemathesis_bin=.tools/schemathesis/bin/schemathesis

get_node_tools() {
    if "$anvil" --version 2>/dev/null | grep -qF "$version" && [ -f "$contracts" ] &&
        "$types_bin" --version 2>/dev/null | grep -qF "$types"; then
        return
    fi
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64) platform=linux-amd64 ;;
        Linux-aarch64) platform=linux-arm64 ;;
        Darwin-x86_64) platform=darwin-amd64 ;;
        Darwin-arm64) platform=darwin-arm64 ;;
        *)
            echo "there is no Anvil package for this machine; build Anvil $version and put it at $anvil" >&2
            exit 1
            ;;
    esac
    scripts/need.sh npm "Node.js 20 or newer, which brings npm (https://nodejs.org), or Anvil $version at $anvil"
    package="@foundry-rs/anvil-$platform"
    echo "installing $package@$version, viem@$viem and openapi-typescript@$types into .tools/" >&2
    npm install --prefix .tools --no-save --no-audit --no-fund --loglevel error \
        "$package@$version" "viem@$viem" "openapi-typescript@$types" typescript@5 >&2
    mkdir -p .tools/bin
    ln -sf "../node_modules/$package/bin/anvil" "$anvil"
    "$anvil" --version >&2
}

get_schemathesis() {
    if "$schemathesis_bin" --version 2>/dev/null | grep -qF "$schemathesis"; then
        return
    fi
    scripts/need.sh python3 "Python 3.11 or newer with venv (Debian, Ubuntu: apt-get install python3-venv)"
    echo "installing schemathesis $schemathesis into .tools/schemathesis" >&2
    python3 -m venv --clear .tools/schemathesis
    .tools/schemathesis/bin/pip install --quiet "schemathesis==$schemathesis" >&2
}

get_driver() {
    locked=tests/browser/package-lock.json
    installed=tests/browser/node_modules/.package-lock.json
    if [ -f "$installed" ] && [ ! "$locked" -nt "$installed" ]; then
        return
    fi
    scripts/need.sh npm "Node.js 20 or newer, which brings npm (https://nodejs.org)"
    echo "installing what $locked names into tests/browser/node_modules/" >&2
    npm ci --prefix tests/browser --no-audit --no-fund --loglevel error >&2
    touch "$installed"
}

find_chromium() {
    for name in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome google-chrome-stable; do
        if "$name" --version >/dev/null 2>&1; then
            return
        fi
    done
    return 1
}

get_chromium() {
    if find_chromium; then
        return
    fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing chromium and fonts-liberation by apt-get" >&2
        apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium fonts-liberation >&2
        if find_chromium; then
            return
        fi
    fi
    echo "Chromium is missing, in which tests look at the dashboard; install it (Debian: apt-get install" >&2
    echo "chromium fonts-liberation; Fedora: dnf install chromium), or name a Chromium or Chrome in CHROMIUM" >&2
    exit 1
}

get_node_tools
get_schemathesis
get_driver
get_chromium
