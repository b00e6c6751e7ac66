#!/bin/sh
# Start the backend after as many seconds as the file beside says: a site that comes up slowly.
sleep "$(cat /app/overlay/delay)"
exec backend-entrypoint "$@"
