# One image, three commands: web serves (the default), `flask worker` and `flask db upgrade` run
# beside it. compose.yaml and docs/containers.md show how.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /build
COPY requirements.txt requirements-sbom.txt ./
# The secret is a pip.conf, for an index or a proxy of your own. It never becomes part of a layer.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv /opt/authserve \
    && /opt/authserve/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv /opt/sbom \
    && /opt/sbom/bin/pip install --no-cache-dir --require-hashes -r requirements-sbom.txt \
    && /opt/sbom/bin/cyclonedx-py requirements --output-reproducible \
        --output-file sbom.cdx.json requirements.txt

FROM ${BASE}
LABEL org.opencontainers.image.title="authserve" \
    org.opencontainers.image.description="A lightweight, self-hosted authentication service" \
    org.opencontainers.image.licenses="MIT"
ENV PATH="/opt/authserve/bin:$PATH" \
    APP_ENV=production
COPY --from=build /opt/authserve /opt/authserve
WORKDIR /app
COPY --from=build /build/sbom.cdx.json ./
COPY .flaskenv LICENSE Procfile config.py gunicorn.conf.py wsgi.py ./
COPY migrations migrations
COPY authserve authserve
# The root file system can be read-only, so bytecode and templates are compiled now. /data, for a
# SQLite database and a secret key of the service's own making, is writable for group 0, because
# some platforms choose the user and keep that group.
RUN python -m compileall -q . \
    && APP_ENV=development SECRET_KEY=for-this-step-alone-0123456789abcdef FEATURES=pages \
        DATABASE_URL=postgresql:// python -c \
        "from wsgi import app; from authserve.web.rendering import load_templates; load_templates(app)" \
    && install -d -o 10001 -g 0 -m 0770 /data \
    && ln -s /data instance
USER 10001:0
EXPOSE 8000
STOPSIGNAL SIGTERM
# http.client ignores the proxies of the environment.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import http.client, os; connection = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8000), timeout=3); connection.request('GET', '/healthz'); raise SystemExit(connection.getresponse().status != 200)"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
