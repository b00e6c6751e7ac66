"""`init` on the shapes of Compose files that well-known sites publish, each written anew and shortened."""

import dataclasses

import pytest

from korrigo_backup.config.load import surroundings
from korrigo_backup.config.model import defaults
from korrigo_backup.core.finding import Level
from korrigo_backup.setup.discover import compose_files, discover


@dataclasses.dataclass(frozen=True)
class Shape:
    """Files of a project, by name, and the settings that `init` should find, in the form section.key=value."""

    files: dict
    found: str
    file: str = "docker-compose.yml"


RAILS = Shape({"docker-compose.yml": """
services:
  db: {image: "postgres:14-alpine", environment: [POSTGRES_HOST_AUTH_METHOD=trust], volumes: ["./pg14:/var/lib/postgresql/data"]}
  redis: {image: "redis:7-alpine"}
  web: {image: "ghcr.io/social/social", command: bundle exec puma -C config/puma.rb, env_file: .env.production, depends_on: [db, redis], volumes: ["./public/system:/social/public/system"]}
  streaming: {image: "ghcr.io/social/streaming", command: node ./streaming, depends_on: [db, redis]}
  sidekiq: {image: "ghcr.io/social/social", command: bundle exec sidekiq, depends_on: [db, redis], volumes: ["./public/system:/social/public/system"]}
"""}, "compose.db=db database.name=postgres database.user=postgres compose.backend=web compose.media=/social/public/system")  # fmt: skip

ERRORS = Shape({".env": "BIND=9000\nPOSTGRES_VERSION=14.11\n", "docker-compose.yml": """
x-restart: &restart {restart: unless-stopped}
x-depends: &ready {condition: service_healthy}
x-defaults: &defaults
  <<: *restart
  image: "$APP_IMAGE"
  depends_on: {redis: {<<: *ready}, postgres: {<<: *ready}, kafka: {<<: *ready}, pgbouncer: {<<: *ready}}
  entrypoint: "/etc/app/entrypoint.sh"
  environment: {CONF: /etc/app}
  volumes: ["errors-data:/data", "./app:/etc/app", "./geoip:/geoip:ro"]
services:
  redis: {<<: *restart, image: "redis:6.2"}
  kafka: {<<: *restart, image: "confluentinc/cp-kafka:7"}
  postgres:
    <<: *restart
    image: "postgres:${POSTGRES_VERSION:-14}-bookworm"
    command: ["postgres", "-c", "max_connections=100"]
    environment: {POSTGRES_HOST_AUTH_METHOD: trust}
    volumes: ["errors-postgres:/var/lib/postgresql/data"]
  pgbouncer: {image: "edoburu/pgbouncer:v1.24.1", environment: {DB_HOST: postgres}, depends_on: {postgres: {<<: *ready}}}
  web: {<<: *defaults, command: run web}
  cron: {<<: *defaults, command: run cron}
  worker: {<<: *defaults, command: run worker}
  nginx: {<<: *restart, image: "nginx:1.25", depends_on: [web]}
volumes: {errors-data: {external: true}, errors-postgres: {external: true}}
"""}, "compose.db=postgres database.name=postgres database.user=postgres compose.backend=web compose.media=/data")  # fmt: skip

CHAT = Shape({"secrets/pw": "x\n", "compose.yaml": """
secrets: {chat__postgres_password: {environment: CHAT__POSTGRES_PASSWORD}}
services:
  database:
    image: "chat/chat-postgresql:14"
    environment: {POSTGRES_DB: chat, POSTGRES_USER: chatter, POSTGRES_PASSWORD_FILE: /run/secrets/chat__postgres_password}
    secrets: [chat__postgres_password]
    volumes: ["postgresql-14:/var/lib/postgresql/data:rw"]
  memcached: {image: "memcached:alpine"}
  rabbitmq: {image: "rabbitmq:4.0"}
  chat:
    image: ghcr.io/chat/chat-server:11
    environment: {SETTING_REMOTE_POSTGRES_HOST: database, SETTING_MEMCACHED_LOCATION: "memcached:11211"}
    volumes: ["chat:/data:rw"]
"""}, "compose.db=database database.name=chat database.user=chatter compose.backend=chat compose.media=/data", "compose.yaml")  # fmt: skip

NETWORK = Shape({"env/postgres.env": "POSTGRES_DB=network\nPOSTGRES_PASSWORD=J5brHrAXFLQSif0K\nPOSTGRES_USER=network\n",
"env/app.env": "DB_HOST=postgres\nMEDIA_ROOT=/opt/network/network/media\nSKIP_SUPERUSER=true\n", "docker-compose.yml": """
services:
  network: &network
    image: docker.io/community/network:v4
    depends_on: [postgres, redis]
    env_file: env/app.env
    user: "unit:root"
    volumes: ["./configuration:/etc/network/config:z,ro", "network-media-files:/opt/network/network/media:rw",
              "network-reports-files:/opt/network/network/reports:rw", "network-scripts-files:/opt/network/network/scripts:rw"]
  network-worker:
    <<: *network
    depends_on: {network: {condition: service_healthy}}
    command: [/opt/network/venv/bin/python, /opt/network/network/manage.py, rqworker]
  network-housekeeping: {<<: *network, command: [/opt/network/housekeeping.sh]}
  postgres: {image: "docker.io/postgres:17-alpine", env_file: env/postgres.env, volumes: ["pg:/var/lib/postgresql/data"]}
  redis: {image: "docker.io/valkey/valkey:8.1"}
"""}, "compose.db=postgres database.name=network database.user=network compose.backend=network compose.media=/opt/network/network/media")  # fmt: skip

PAPER = Shape({"docker-compose.env": "PAPER_TIME_ZONE=Europe/Paris\n", "docker-compose.yml": """
services:
  broker: {image: "docker.io/library/redis:8"}
  db: {image: "docker.io/library/postgres:17", environment: {POSTGRES_DB: paper, POSTGRES_USER: paper, POSTGRES_PASSWORD: paper}, volumes: ["pgdata:/var/lib/postgresql/data"]}
  webserver:
    image: ghcr.io/paper/paper:latest
    depends_on: [db, broker, gotenberg, tika]
    volumes: ["data:/usr/src/paper/data", "media:/usr/src/paper/media", "./export:/usr/src/paper/export", "./consume:/usr/src/paper/consume"]
    env_file: docker-compose.env
    environment: {PAPER_REDIS: "redis://broker:6379", PAPER_DBHOST: db}
  gotenberg: {image: "docker.io/gotenberg/gotenberg:8"}
  tika: {image: "docker.io/apache/tika:latest"}
"""}, "compose.db=db database.name=paper database.user=paper compose.backend=webserver compose.media=/usr/src/paper/media")  # fmt: skip

SALES = Shape({"common.env": "DEFAULT_FROM_EMAIL=a@b.c\n", "backend.env": "DATABASE_URL=postgres://sales:sales@db/sales\n", "docker-compose.yml": """
services:
  api:
    image: ghcr.io/sales/sales:3.20
    ports: ["8000:8000"]
    depends_on: [db, redis, jaeger]
    volumes: ["sales-media:/app/media"]
    env_file: [common.env, backend.env]
  dashboard: {image: "ghcr.io/sales/sales-dashboard:latest", ports: ["9000:80"]}
  db:
    image: library/postgres:15-alpine
    volumes: ["sales-db:/var/lib/postgresql/data", "./replica_user.sql:/docker-entrypoint-initdb.d/replica_user.sql"]
    environment: [POSTGRES_USER=sales, POSTGRES_PASSWORD=sales]
  redis: {image: "library/redis:7.0-alpine"}
  jaeger: {image: jaegertracing/jaeger}
  worker:
    image: ghcr.io/sales/sales:3.20
    command: celery -A sales --app=sales.celeryconf:app worker --loglevel=info -B
    env_file: [common.env, backend.env]
    depends_on: [redis]
    volumes: ["sales-media:/app/media"]
"""}, "compose.db=db database.name=sales database.user=sales compose.backend=api compose.media=/app/media")  # fmt: skip

TRANSLATE = Shape({"environment": "POSTGRES_PASSWORD=t\nPOSTGRES_USER=translator\nPOSTGRES_DB=words\nPOSTGRES_HOST=database\nPOSTGRES_PORT=\n", "docker-compose.yml": """
services:
  translate:
    image: translate/translate
    tmpfs: [/run, /tmp]
    volumes: ["translate-data:/app/data", "translate-cache:/app/cache"]
    env_file: [./environment]
    depends_on: [database, cache]
  database: {image: "postgres:17-alpine", env_file: [./environment], volumes: ["postgres-data:/var/lib/postgresql/data"]}
  cache: {image: "redis:8-alpine", command: [redis-server, --save, "60", "1"]}
"""}, "compose.db=database database.name=words database.user=translator compose.backend=translate compose.media=/app/data")  # fmt: skip

CHECKS = Shape({".env": "DB=postgres\nDB_HOST=db\nDB_NAME=checks\nDB_PASSWORD=fixme\nDB_USER=postgres\n", "docker-compose.yml": """
volumes: {db-data: }
services:
  db:
    image: postgres:16
    volumes: ["db-data:/var/lib/postgresql/data"]
    environment: ["POSTGRES_DB=$DB_NAME", "POSTGRES_PASSWORD=$DB_PASSWORD"]
  web:
    image: checks/checks:latest
    env_file: [.env]
    ports: ["8000:8000"]
    depends_on: {db: {condition: service_healthy}}
    command: bash -c 'while !</dev/tcp/db/5432; do sleep 1; done; uwsgi /opt/checks/docker/uwsgi.ini'
"""}, "compose.db=db database.name=checks database.user=postgres compose.backend=web")  # fmt: skip

LABELS = Shape({"docker-compose.yml": """
version: "3.9"
x-logging: &logging {options: {max-size: "10m"}}
services:
  nginx: {image: "labels/labels:latest", ports: ["8080:8085"], depends_on: [app], volumes: ["./mydata:/labels/data:rw"], command: nginx}
  app:
    image: labels/labels:latest
    expose: ["8000"]
    depends_on: [db]
    environment: [DJANGO_DB=default, POSTGRE_NAME=postgres, POSTGRE_USER=postgres, POSTGRE_HOST=db]
    volumes: ["./mydata:/labels/data:rw"]
    command: labels-uwsgi
  db:
    image: pgautoupgrade/pgautoupgrade:13-alpine
    hostname: db
    environment: [POSTGRES_HOST_AUTH_METHOD=trust, POSTGRES_USER=postgres]
    volumes: ["${POSTGRES_DATA_DIR:-./postgres-data}:/var/lib/postgresql/data"]
volumes: {static: {}}
"""}, "compose.db=db database.name=postgres database.user=postgres compose.backend=app compose.media=/labels/data")  # fmt: skip

TABLES = Shape({".env": "SECRET_KEY=x\nDATABASE_PASSWORD='a$b'\nREDIS_PASSWORD=y\n", "docker-compose.yml": """
x-backend-variables: &backend-variables
  SECRET_KEY: ${SECRET_KEY:?}
  DATABASE_PASSWORD: ${DATABASE_PASSWORD:?}
  DATABASE_USER: ${DATABASE_USER:-tables}
  DATABASE_NAME: ${DATABASE_NAME:-tables}
  DATABASE_HOST:
services:
  caddy: {image: "caddy:2", volumes: ["media:/tables/media"]}
  backend: {image: "tables/backend:1.30", environment: {<<: *backend-variables}, depends_on: [db, redis], volumes: ["media:/tables/media"]}
  web-frontend: {image: "tables/web-frontend:1.30", depends_on: [backend]}
  celery: {image: "tables/backend:1.30", environment: {<<: *backend-variables}, command: celery-worker, depends_on: {backend: {condition: service_healthy}}, volumes: ["media:/tables/media"]}
  celery-beat-worker: {image: "tables/backend:1.30", command: celery-beat, environment: {<<: *backend-variables}, depends_on: [backend], volumes: ["media:/tables/media"]}
  volume-permissions-fixer: {image: "bash:4.4", command: "chown 9999:9999 -R /tables/media", volumes: ["media:/tables/media"]}
  db:
    image: "pgvector/pgvector:pg${POSTGRES_IMAGE_VERSION:-15}"
    environment: ["POSTGRES_USER=${DATABASE_USER:-tables}", "POSTGRES_PASSWORD=${DATABASE_PASSWORD:?}", "POSTGRES_DB=${DATABASE_NAME:-tables}"]
    volumes: ["pgdata:/var/lib/postgresql/data"]
  redis: {image: "redis:6"}
"""}, "compose.db=db database.name=tables database.user=tables compose.backend=backend compose.media=/tables/media")  # fmt: skip

ANALYTICS = Shape({"docker-compose.base.yml": """
services:
  db: {image: "postgres:12-alpine", environment: {POSTGRES_USER: hog, POSTGRES_DB: hogs, POSTGRES_PASSWORD: hog}}
  worker: &worker
    command: ./bin/docker-worker-celery --with-scheduler
    environment: &worker_env {DATABASE_URL: "postgres://hog:hog@db:5432/hogs", CLICKHOUSE_HOST: clickhouse}
  web: {<<: *worker, command: ./bin/start-backend}
  clickhouse: {image: "clickhouse/clickhouse-server:24"}
""", "docker-compose.hobby.yml": """
services:
  db: {extends: {file: docker-compose.base.yml, service: db}, volumes: ["postgres-data:/var/lib/postgresql/data"]}
  clickhouse: {extends: {file: docker-compose.base.yml, service: clickhouse}, volumes: ["clickhouse-data:/var/lib/clickhouse"]}
  worker: {extends: {file: docker-compose.base.yml, service: worker}, image: "hog/hog:latest", depends_on: [db, clickhouse]}
  web: {extends: {file: docker-compose.base.yml, service: web}, command: /compose/start, image: "hog/hog:latest", volumes: ["./compose:/compose"], depends_on: [db, clickhouse]}
  caddy: {image: "caddy:2.6", depends_on: [web]}
  temporal-postgres: {image: "postgres:16", volumes: ["t:/var/lib/postgresql/data"]}
"""}, "compose.db=db database.name=hogs database.user=hog compose.backend=web", "docker-compose.hobby.yml")  # fmt: skip

DOCUMENTS = Shape({".env": "COMPOSE_PROFILES=all_in_one,postgresql\n", "docker-compose.yml": """
x-container: &container
  env_file: [{path: .env, required: false}]
  environment:
    DOC_DATABASES: "{'default':{'ENGINE':'django.db.backends.postgresql','NAME':'${DOC_DATABASE_NAME:-docs}','HOST':'${DOC_DATABASE_HOST:-postgresql}'}}"
  image: ${DOC_IMAGE:-docs/docs}:${DOC_TAG:-s4.5}
  networks: [docs]
  volumes: ["${DOC_APP_VOLUME:-app}:/var/lib/docs"]
services:
  app: {<<: *container, ports: ["80:8000"], profiles: [all_in_one]}
  frontend: {<<: *container, command: [run_frontend], profiles: [extra_frontend]}
  worker_a: {<<: *container, command: ["run_worker worker_a"], profiles: [extra_worker_a]}
  postgresql:
    command: [postgres, -c, shared_buffers=256MB]
    environment: {POSTGRES_DB: "${DOC_DATABASE_NAME:-docs}", POSTGRES_USER: "${DOC_DATABASE_USER:-doc}"}
    image: postgres:${DOC_PG_TAG:-14.8-alpine}
    profiles: [extra_postgresql, postgresql]
    volumes: ["${DOC_POSTGRES_VOLUME:-postgres}:/var/lib/postgresql/data"]
  redis: {image: "redis:7", profiles: [redis]}
"""}, "compose.db=postgresql database.name=docs database.user=doc compose.backend=app compose.media=/var/lib/docs")  # fmt: skip

RECIPES = Shape({".env": "SECRET_KEY=\nDB_ENGINE=django.db.backends.postgresql\nPOSTGRES_HOST=db_recipes\nPOSTGRES_DB=djangodb\nPOSTGRES_PORT=5432\nPOSTGRES_USER=djangouser\nPOSTGRES_PASSWORD=pw\n", "docker-compose.yml": """
services:
  db_recipes: {image: "postgres:16-alpine", volumes: ["./postgresql:/var/lib/postgresql/data"], env_file: [./.env]}
  web_recipes:
    image: recipes/recipes
    env_file: [./.env]
    volumes: ["staticfiles:/opt/recipes/staticfiles", "nginx_config:/opt/recipes/nginx/conf.d", "./mediafiles:/opt/recipes/mediafiles"]
    depends_on: {db_recipes: {condition: service_healthy}}
  nginx_recipes:
    image: nginx:mainline-alpine
    ports: ["80"]
    env_file: [./.env]
    depends_on: [web_recipes]
    volumes: ["nginx_config:/etc/nginx/conf.d:ro", "staticfiles:/static:ro", "./mediafiles:/media:ro"]
"""}, "site.access=compose compose.db=db_recipes compose.backend=web_recipes compose.media=/opt/recipes/mediafiles")  # fmt: skip

BAKERY = Shape({"manage.py": "", "Dockerfile": 'FROM python:3.12-slim as base\nENV PORT 8000\nENTRYPOINT ["/code/docker-entrypoint.sh"]\nCMD ["uwsgi", "/code/etc/uwsgi.ini"]\n',
"bakery/settings/base.py": "import os\nMEDIA_ROOT = os.path.join(PROJECT_DIR, \"pictures\")\nMEDIA_URL = '/media/'\n", "docker-compose.yml": """
services:
  db: {environment: {POSTGRES_DB: app_db, POSTGRES_USER: app_user, POSTGRES_PASSWORD: changeme}, image: "postgres:14.1", volumes: ["postgres-data:/var/lib/postgresql/data"]}
  redis: {image: "redis:6.2"}
  app:
    build: {context: .}
    environment: {DJANGO_SECRET_KEY: changeme, DATABASE_URL: "postgres://app_user:changeme@db/app_db"}
    volumes: ["./bakery:/code/bakery", "pictures:/code/bakery/pictures"]
    links: ["db:db", "redis:redis"]
    depends_on: {db: {condition: service_healthy}}
"""}, "compose.db=db database.name=app_db database.user=app_user compose.backend=app compose.media=/code/bakery/pictures")  # fmt: skip

SECURITY = Shape({"docker-compose.yml": """
services:
  nginx: {image: "sec/sec-nginx:latest", depends_on: {uwsgi: {condition: service_started}}, volumes: ["sec_media:/usr/share/nginx/html/media"]}
  uwsgi:
    image: "sec/sec-django:latest"
    depends_on: {initializer: {condition: service_completed_successfully}, postgres: {condition: service_started}}
    entrypoint: ['/wait-for-it.sh', '${SEC_DATABASE_HOST:-postgres}:5432', '-t', '30', '--', '/entrypoint-uwsgi.sh']
    environment: {SEC_DATABASE_URL: "${SEC_DATABASE_URL:-postgresql://sec:sec@postgres:5432/secdb}"}
    volumes: ["sec_media:${SEC_MEDIA_ROOT:-/app/media}"]
  celerybeat: {image: "sec/sec-django:latest", depends_on: [initializer, postgres], entrypoint: ['/entrypoint-celery-beat.sh'], environment: {SEC_DATABASE_URL: "postgresql://sec:sec@postgres:5432/secdb"}}
  celeryworker: {image: "sec/sec-django:latest", depends_on: [initializer, postgres], entrypoint: ['/entrypoint-celery-worker.sh'], volumes: ["sec_media:/app/media"]}
  initializer: {image: "sec/sec-django:latest", depends_on: [postgres], entrypoint: ['/entrypoint-initializer.sh']}
  postgres: {image: "postgres:17.2-alpine@sha256:abc", environment: {POSTGRES_DB: secdb, POSTGRES_USER: sec}, volumes: ["sec_postgres:/var/lib/postgresql/data"]}
  redis: {image: "redis:7.2"}
"""}, "compose.db=postgres database.name=secdb database.user=sec compose.backend=uwsgi compose.media=/app/media")  # fmt: skip

CRASHES = Shape({"compose.yml": """
x-environment: &env {DATABASE_URL: "postgres://postgres:postgres@postgres:5432/postgres", SECRET_KEY: x}
x-depends_on: &needs [postgres, redis]
services:
  postgres: {image: "postgres:17", environment: {POSTGRES_HOST_AUTH_METHOD: trust}, volumes: ["pg-data:/var/lib/postgresql/data"]}
  redis: {image: valkey/valkey}
  web: {image: crashes/crashes, depends_on: *needs, environment: *env, volumes: ["uploads:/code/uploads"]}
  worker: {image: crashes/crashes, command: ./bin/run-celery-with-beat.sh, depends_on: *needs, environment: *env, volumes: ["uploads:/code/uploads"]}
  migrate: {image: crashes/crashes, depends_on: *needs, command: ./bin/run-migrate.sh, environment: *env}
"""}, "compose.db=postgres database.name=postgres database.user=postgres compose.backend=web compose.media=/code/uploads", "compose.yml")  # fmt: skip

OVERLAY = Shape({"docker-compose.yml": """
services:
  db: {image: "timescale/timescaledb-ha:pg16", environment: {POSTGRES_USER: meter, POSTGRES_DB: meters}, volumes: ["ts:/home/postgres/pgdata/data"]}
  backend: {build: ./backend, depends_on: [db], volumes: ["files:/srv/uploads"]}
""", "docker-compose.prod.yml": "services: {backend: {command: 'granian meter.wsgi'}}\n"},
"compose.files=['docker-compose.yml','docker-compose.prod.yml'] compose.db=db database.name=meters database.user=meter compose.backend=backend compose.media=/srv/uploads", "docker-compose.prod.yml")  # fmt: skip

FROM_SOURCE = Shape({"docker/pg/Dockerfile": "ARG V=16\nFROM bitnami/postgresql:${V} AS base\nFROM base\nCOPY x /\n", "app/manage.py": "", "app/Dockerfile": "FROM python:3.13\nCMD gunicorn app.wsgi\n", "compose.yml": """
services:
  store: {build: ./docker/pg, environment: {POSTGRESQL_DATABASE: shop, POSTGRESQL_USERNAME: seller}}
  shop: {build: app, environment: {DB_HOST: store}, volumes: ["pictures_media:/files"]}
  tasks: {build: app, environment: {DB_HOST: store}, command: python manage.py run_huey}
"""}, "compose.db=store database.name=shop database.user=seller compose.backend=shop compose.media=/files compose.stop=['shop','tasks']", "compose.yml")  # fmt: skip

COPIES = Shape({"compose.yml": """
services:
  pg-replica: {image: "bitnami/postgresql:16", environment: {POSTGRESQL_REPLICATION_MODE: slave, POSTGRESQL_DATABASE: shop}}
  pg-primary: {image: "bitnami/postgresql:16", environment: {POSTGRESQL_REPLICATION_MODE: master, POSTGRESQL_DATABASE: shop}}
  pgbouncer: {image: "bitnami/pgbouncer:1", depends_on: [pg-primary]}
  backup: {image: "prodrigestivill/postgres-backup-local:16", depends_on: [pg-primary], environment: {POSTGRES_HOST: pg-primary, POSTGRES_DB: other}}
  exporter: {image: "quay.io/prometheuscommunity/postgres-exporter"}
  web: {build: ., command: uvicorn shop.asgi --workers 4, depends_on: [pgbouncer, pg-primary, pg-replica], volumes: ["uploads:/app/media"]}
"""}, "compose.db=pg-primary database.name=shop database.user=postgres compose.backend=web", "compose.yml")  # fmt: skip

SUPA = Shape({"docker-compose.yml": """
services:
  db: {image: "supabase/postgres:15.8.1.060", environment: {POSTGRES_DB: "${POSTGRES_DB_NAME:-site}", POSTGRES_HOST: /var/run/postgresql}, volumes: ["./db:/var/lib/postgresql/data:Z"]}
  api: {build: ., command: daphne site.asgi:application, environment: {DATABASE_URL: "postgres://x:y@db:5432/site"}, volumes: ["uploads:/srv/media"]}
"""}, "compose.db=db database.name=site database.user=supabase_admin compose.backend=api compose.media=/srv/media")  # fmt: skip

SHAPES = {name.lower(): shape for name, shape in list(globals().items()) if isinstance(shape, Shape)}


@pytest.mark.parametrize("name", SHAPES)
def test_a_published_shape_is_understood(tmp_path, name):
    shape = SHAPES[name]
    for path, text in shape.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert shape.file in [str(path) for path in compose_files(tmp_path, {})]
    found = discover(tmp_path, surroundings(tmp_path, {}))
    assert found.reached
    usual = defaults()
    for wanted in shape.found.split():
        place, _, value = wanted.partition("=")
        section, _, key = place.partition(".")
        there = found.values.get(section, {}).get(key, usual[section][key])
        assert str(there).replace(" ", "") == value, (place, [one.message for one in found.findings])


def test_a_guessed_media_directory_is_reported_as_a_warning(tmp_path):
    (tmp_path / "docker-compose.yml").write_text(SHAPES["labels"].files["docker-compose.yml"])
    (finding,) = [one for one in discover(tmp_path, {}).findings if one.id == "site.media"]
    assert finding.level is Level.WARNING
    assert "MEDIA_ROOT" in finding.hint


TWO = """
services:
  one: {image: "postgres:16", environment: {POSTGRES_DB: first}, volumes: ["a:/var/lib/postgresql/data"]}
  two: {image: "postgres:16", environment: {POSTGRES_DB: second}, volumes: ["b:/var/lib/postgresql/data"]}
  web: {build: ., command: gunicorn x, depends_on: [one, two]}
"""


def test_mounted_code_is_no_media_directory(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "compose.yaml").write_text(
        "services: {db: {image: 'postgres:16'}, web: {build: ., command: gunicorn x, volumes: ['./shop:/srv/shop']}}"
    )
    found = discover(tmp_path, {})
    assert "media" not in found.values["compose"]
    assert [one.level for one in found.findings if one.id == "site.media"] == [Level.WARNING]


def test_discover_asks_for_a_choice_between_two_equal_databases(tmp_path):
    (tmp_path / "compose.yaml").write_text(TWO)
    found = discover(tmp_path, {})
    assert found.candidates == ("one", "two")
    assert not found.reached
    assert "db" not in found.values["compose"]
    (question,) = [one for one in found.findings if one.id == "site.candidates"]
    assert question.hint == "korrigo-backup init --db one, or --db two"


def test_discover_selects_the_database_named_in_database_url(tmp_path):
    address = "environment: {DATABASE_URL: 'postgres://u:p@two:5432/second', LEGACY: 'postgres://u:p@one/first'}, "
    (tmp_path / "compose.yaml").write_text(TWO.replace("{build: ., ", "{build: ., " + address))
    assert discover(tmp_path, {}).values["compose"]["db"] == "two"


def test_an_include_from_elsewhere_is_named(tmp_path):
    (tmp_path / "compose.yaml").write_text(
        "include: ['oci://registry/x', {path: [gone.yml]}]\nservices: {db: {image: 'postgres:16'}}"
    )
    messages = [one.message for one in discover(tmp_path, {}).findings if one.id == "site.include"]
    assert [message.split()[1].rstrip(",") for message in messages] == ["oci://registry/x", "gone.yml"]
