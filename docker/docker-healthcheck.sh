#!/bin/bash
# Healthy: the server answers PING. NOAUTH is an answer too, as only the
# password is missing; LOADING and MASTERDOWN are none, as clients are refused.
set -eu
exec 3<> "/dev/tcp/127.0.0.1/${REDSTART_PORT:-6379}"
printf 'PING\r\n' >&3
IFS= read -r -t 2 reply <&3
case $reply in
    +PONG* | -NOAUTH*) ;;
    *) echo "$reply" && exit 1 ;;
esac
