#!/bin/sh
# Starts the server, or whatever program the arguments name.
set -eu

# An option or a configuration file comes without the name of the program.
case ${1:-} in
    -* | *.conf) set -- redstart "$@" ;;
esac

case ${1:-} in
    redstart | redis-server)
        # What the server saves is for its own user only.
        [ "$(umask)" != 0022 ] || umask 0077
        # Every client of a container comes from another address, and which of
        # them can reach it is for the published ports and networks to say. So
        # the server's own guard is off unless the arguments decide about it,
        # or a configuration file, which is then the only word.
        guard=off
        for argument in "$@"; do
            case $argument in
                *.conf | - | *protected-mode*) guard=theirs ;;
            esac
        done
        [ $guard = theirs ] || set -- "$@" --protected-mode no
        ;;
esac

exec "$@"
