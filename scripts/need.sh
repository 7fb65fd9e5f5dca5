#!/bin/sh
# need.sh PROGRAM WHAT: says what to install when the program is not there.
command -v "$1" >/dev/null 2>&1 || {
    echo "\`$1\` is missing; install $2" >&2
    exit 1
}
