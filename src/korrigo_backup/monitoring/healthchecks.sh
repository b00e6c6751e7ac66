#!/bin/sh
# The status of the backups as a check of Healthchecks (healthchecks.io, or a server of your own).
#
# A crontab of the user who makes the backups; the address is that of the check, without anything after it:
#   */15 * * * *  HEALTHCHECKS_STATUS_URL=https://hc-ping.com/your-uuid /srv/korrigo/monitoring/healthchecks.sh
#
# Healthchecks has the exit code and the status in words: 0 is up, 10 (an error of the status) and every other code is
# down. The check is down, too, when no ping comes: period 15 minutes, grace 45 minutes.
set -eu
address=${HEALTHCHECKS_STATUS_URL:?the ping address of the check}

code=0
cd /srv/korrigo
output=$(/srv/korrigo/venv/bin/korrigo-backup status 2>&1) || code=$?

# The address is a secret of a kind: it is read from a pipe, and is in no list of processes.
printf 'url = "%s/%s"\n' "${address%/}" "$code" |
    curl --config - --fail --silent --show-error --max-time 10 --retry 5 --output /dev/null --data-raw "$output"
