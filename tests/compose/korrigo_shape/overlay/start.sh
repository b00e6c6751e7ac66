#!/bin/sh
# Start the backend after as many seconds as the file beside says: a site that comes up slowly. Then migrate, as its image does.
sleep "$(cat /app/overlay/delay)"
exec backend-entrypoint "$@"
