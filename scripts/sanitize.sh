#!/usr/bin/env bash
# The ABI's tests under AddressSanitizer and LeakSanitizer: both sides in one program, and across
# dlopen. A stable compiler brings the runtimes and hides the flag; RUSTC_BOOTSTRAP shows it, here
# and for nothing that is shipped.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
runtimes="$(rustc --print sysroot)/lib/rustlib/$target/lib"
if ! compgen -G "$runtimes/*_rt.asan.a" >/dev/null; then
    echo "sanitize: left out, this compiler brings no AddressSanitizer for $target" >&2
    exit 0
fi

export RUSTC_BOOTSTRAP=1
# Without the last two a library does not find the runtime, which is in the program alone.
export RUSTFLAGS="-Zsanitizer=address -Zexport-executable-symbols -Clink-arg=-rdynamic"
export LSAN_OPTIONS="suppressions=$PWD/plugin-api/abi/lsan.supp:print_suppressions=0"
exec cargo nextest run -p scanhost-abi --locked --no-fail-fast --target "$target" \
    --target-dir "$1/sanitize"
