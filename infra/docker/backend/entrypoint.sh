#!/bin/sh
# Start a service of the backend image as the user app. The web server first brings tables and static files up to date.
set -eu

as_app() { setpriv --reuid app --regid app --init-groups env HOME=/home/app "$@"; }

if [ "$(id -u)" != 0 ]; then # `docker run --user`: what it was given must do
    as_app() { "$@"; }
else
    # a volume that was made empty, or by another image, belongs to root
    for directory in /app/media /app/staticfiles; do
        [ "$(stat -c %U "$directory")" = app ] || chown app:app "$directory" 2>/dev/null || true # read-only in a worker
    done
fi
rm -f /tmp/celery-alive # of the time before a restart: health is shown by this run
if [ "${1:-}" = gunicorn ]; then
    as_app python manage.py migrate --no-input
    as_app python manage.py collectstatic --no-input --verbosity 0
fi
if [ "$(id -u)" = 0 ]; then
    exec setpriv --reuid app --regid app --init-groups env HOME=/home/app "$@"
fi
exec "$@"
