#!/bin/sh
# Writes a random secret into each file that the compose file mounts, where there is none yet.
#
# An engine mounts the files as they are, and the services run as different users: so each may read them, and the folder
# keeps everybody else on this machine out.
set -eu
folder=$(dirname "$0")/secrets
chmod 700 "$folder"
for name in postgres_password dashboard_token grafana_password bi_password; do
    if [ -s "$folder/$name" ]; then
        echo "$folder/$name is there already"
        continue
    fi
    (umask 022 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$folder/$name.new")
    mv "$folder/$name.new" "$folder/$name"
    echo "$folder/$name is written"
done
