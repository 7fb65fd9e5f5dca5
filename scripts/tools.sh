#!/usr/bin/env bash
# Puts Anvil, the EVM node that tests run against, at .tools/bin/anvil, and viem beside it, which
# holds the code of the real Multicall3 contract.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.7.1
anvil=.tools/bin/anvil
# Holds the code of the real Multicall3 contract.
viem=2.38.0
contracts=.tools/node_modules/viem/constants/contracts.ts

if "$anvil" --version 2>/dev/null | grep -qF "$version" && [ -f "$contracts" ]; then
    exit 0
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
echo "installing $package@$version and viem@$viem into .tools/" >&2
npm install --prefix .tools --no-save --no-audit --no-fund --loglevel error "$package@$version" "viem@$viem" >&2
mkdir -p .tools/bin
ln -sf "../node_modules/$package/bin/anvil" "$anvil"
"$anvil" --version >&2
