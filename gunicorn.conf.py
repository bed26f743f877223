"""gunicorn's configuration; the values that operators choose come from the settings."""

# ruff: noqa: E402

import gc
import logging
import os
import sys

# What is imported from here on is no garbage, but the collector would search it again and again
# while the heap grows: a tenth of a start (measured). `when_ready` enables the collector.
gc.disable()

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.message import Request
from gunicorn.workers.gthread import ThreadWorker

from authserve.core.gunicorn_version import GUNICORN_VERSION, find_other_gunicorn
from authserve.core.logs import JSONLineFormatter, LineHandler
from authserve.keys.store import APP_KEY_STORE, KEY_STORE
from authserve.passwords.policy import load_common_passwords
from authserve.serving.memory import load_before_fork, use_one_malloc_arena
from authserve.serving.sockets import listen_addresses, raise_open_file_limit
from authserve.settings.model import Settings, SettingsError
from config import load_settings, load_settings_or_exit


def read_again(former: Settings) -> Settings:
    """Return the settings by now, or the former ones if a fault would end the service."""
    try:
        return load_settings()
    except SettingsError as error:
        logger = logging.getLogger("gunicorn.error")
        logger.error("settings refused, the former ones stay", extra={"faults": error.faults})
        return former


# At SIGHUP the master reads this file again, but keeps the application that it has loaded.
application = sys.modules.get("wsgi")
settings = load_settings_or_exit() if application is None else read_again(application.settings)
loaded = settings if application is None else application.settings
other_gunicorn = find_other_gunicorn()

if other_gunicorn is None:
    from authserve.serving.worker import drain_on_sigterm

if loaded.metrics_token:
    from authserve.metrics import run_folder

    # The workers count in files of this folder. prometheus_client reads the variable when it is
    # imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(run_folder.claim("authserve-metrics-"))

    from authserve.metrics.files import forget_worker
    from authserve.metrics.worker import start_sampling

if "pages" in loaded.features:
    from authserve.web.rendering import load_templates

bind = listen_addresses(settings)
worker_class = "authserve.serving.worker.Worker" if other_gunicorn is None else "gthread"
workers = settings.web_concurrency
threads = settings.web_threads

# The master loads the application, so the workers share one copy of the code in memory. If loading
# fails, gunicorn exits; without preloading, it would respawn workers for ever.
preload_app = True


def on_starting(arbiter: Arbiter) -> None:
    """Set the process's limits, and set up draining with `DRAIN_SECONDS`.

    With another gunicorn version, its own worker runs without draining, and a warning is logged.
    """
    raise_open_file_limit()
    use_one_malloc_arena()
    if other_gunicorn is None:
        drain_on_sigterm(arbiter, seconds=settings.drain_seconds)
    else:
        arbiter.log.warning(
            "gunicorn %s is not %s: its own worker runs, slow clients hold threads, and "
            "DRAIN_SECONDS has no effect. Install requirements.txt.",
            other_gunicorn,
            GUNICORN_VERSION,
        )


def when_ready(arbiter: Arbiter) -> None:
    """Load what all workers need before the first one is forked, so that they share it.

    Freezing keeps the collector from writing to shared memory, which would copy it. No collection
    runs before: workers would fill the freed memory, and so copy its pages (both are the Python
    documentation's advice for servers that fork). So 1,200 objects are never freed (measured).
    """
    load_common_passwords()
    load_before_fork()
    if "pages" in loaded.features:
        load_templates(arbiter.app.wsgi())
    gc.freeze()
    gc.enable()


# At SIGHUP, gunicorn reads this file again and forks new workers.
on_reload = when_ready


def post_worker_init(worker: ThreadWorker) -> None:
    """Load the keys, so that a worker can publish them even if the database fails at once.

    With `METRICS_TOKEN`, also start to report the worker's state every second.
    """
    with worker.wsgi.app_context():
        for slot in (KEY_STORE, APP_KEY_STORE):
            if slot.is_filled(worker.wsgi):
                slot.of(worker.wsgi).warm_up()
    if loaded.metrics_token:
        start_sampling(worker.wsgi)


def child_exit(arbiter: Arbiter, worker: ThreadWorker) -> None:
    """Forget an exited worker's gauges, but keep the totals that it counted."""
    if loaded.metrics_token:
        forget_worker(worker.pid, alive=arbiter.WORKERS)


def on_exit(_arbiter: Arbiter) -> None:
    """Remove the folder of the metrics."""
    if loaded.metrics_token:
        run_folder.release("authserve-metrics-")


def pre_request(_worker: ThreadWorker, _request: Request) -> None:
    """Log nothing: gunicorn's default logs each path at DEBUG, and a path can contain a token."""


timeout = 30
graceful_timeout = 25
# Longer than proxies keep an idle connection (60 s is the usual default, of AWS and nginx). The
# side that sends requests must close first, or it can send one to a connection that just closed.
keepalive = 75

# A worker restarts after this many requests, which frees memory that it has accumulated. The
# jitter keeps workers from restarting together. Both chosen, not measured.
max_requests = 100_000
max_requests_jitter = 10_000

# `serving.client_socket` keeps unsent bytes in memory, which `sendfile` would bypass.
sendfile = False

# gunicorn's defaults, pinned so that no upgrade raises them; the application limits the body.
limit_request_line = 4_094
limit_request_fields = 100
limit_request_field_size = 8_190

# gunicorn trusts no proxy: only the application applies TRUSTED_PROXIES. By default, gunicorn
# would trust every client on the same machine. (The `Server` header has no setting: it is
# `gunicorn`, without a version.)
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}

# By default, gunicorn 27 listens for commands on a socket in the home folder.
control_socket_disable = True

# Each worker's heartbeat is a file; writing it must not wait for a disk (gunicorn's FAQ on
# blocking in `os.fchmod`).
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

# The application logs one line a request itself, with fields that gunicorn does not have.
accesslog = None
loglevel = settings.log_level.lower()


def leave_out_request(record: logging.LogRecord) -> bool:
    """Remove a quoted request from a log record of any level, because it can contain a token.

    For example `Ignored premature client disconnection. No more data after: b'GET /?token=…'`.
    """
    for quoting in ("Ignored premature client disconnection", "Error handling request"):
        if str(record.msg).startswith(quoting):
            record.msg, record.args = quoting, ()
    return True


class JSONLogger(Logger):  # type: ignore[misc]
    """gunicorn's logger, with the format and destination of the application's log.

    A `logconfig_dict` would do the same, but it also enables the access log.
    """

    def setup(self, cfg: Config) -> None:
        """Set up the handlers; gunicorn calls this at the start and at each reload."""
        super().setup(cfg)
        if cfg.errorlog == "-":
            handler = LineHandler()
            handler.setFormatter(JSONLineFormatter())
            handler.addFilter(leave_out_request)
            self.error_log.handlers = [handler]


logger_class = JSONLogger
