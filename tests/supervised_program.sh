#!/bin/sh
# What supervisord runs in tests: it obeys the words in the file $1, and becomes the rest of its
# arguments. `fail` ends it at once with code 3, `stubborn` makes it ignore requests to stop,
# `noisy` makes it write a password and bytes that XML can't carry to stderr. A shell, because it
# must fail sooner than supervisord's `startsecs`, on a busy machine too.
orders=$1
shift
words=" $(cat "$orders" 2>/dev/null) "
echo $$ >>"$orders.starts"
case $words in *" noisy "*) printf 'connecting with password=hunter2 \033[31m\377\n' >&2 ;; esac
case $words in *" stubborn "*) trap '' TERM ;; esac
case $words in *" fail "*)
    echo "can't bind to the port" >&2
    exit 3
    ;;
esac
exec "$@"
