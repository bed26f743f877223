"""How gunicorn serves the application; the operator's part of it comes from the settings."""

# ruff: noqa: E402 - what comes first has to be done before other modules are imported.

import gc

# Next to nothing of what is loaded before the workers are forked is garbage, and to look for it
# over and over while the heap grows took 0.1 s of a start of 0.7 s (measured). `when_ready`
# switches the collector on again.
gc.disable()

import logging
import os

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.message import Request
from gunicorn.workers.gthread import ThreadWorker

from authserve.core.logs import JSONLineFormatter, LineHandler
from authserve.database.server_version import GUNICORN_VERSION, find_other_gunicorn
from authserve.keys.store import KEY_STORE_EXTENSION
from authserve.metrics import run_folder
from authserve.passwords.policy import load_common_passwords
from authserve.serving.open_files import raise_open_file_limit
from authserve.settings.listening import listen_addresses
from config import load_settings_or_exit

settings = load_settings_or_exit()
other_gunicorn = find_other_gunicorn()

if other_gunicorn is None:
    from authserve.serving.drain import drain_on_sigterm
    from authserve.serving.sharing import forget_connections

if settings.metrics_token:
    # The workers count in files of this folder. prometheus_client wants to know of it when it is
    # imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(run_folder.claim("authserve-metrics-"))

    from authserve.metrics.files import forget_worker
    from authserve.metrics.worker import start_sampling

bind = listen_addresses(settings)
worker_class = "authserve.serving.worker.Worker" if other_gunicorn is None else "gthread"
workers = settings.web_concurrency
threads = settings.web_threads

# The workers share one copy of the code in memory. And the application is loaded in the master,
# so that whatever stops it from loading ends gunicorn, where workers would be respawned for ever.
preload_app = True


def on_starting(arbiter: Arbiter) -> None:
    """Tell proxies before the listener closes, if the operator wants that."""
    raise_open_file_limit()
    if other_gunicorn is None:
        drain_on_sigterm(arbiter, seconds=settings.drain_seconds)
    else:
        arbiter.log.warning(
            "gunicorn %s is not %s: its own worker runs, slow clients hold threads, and "
            "DRAIN_SECONDS has no effect. Install requirements.txt.",
            other_gunicorn,
            GUNICORN_VERSION,
        )


def when_ready(_arbiter: Arbiter) -> None:
    """Read what all workers need, before the first of them is forked, so that they share it.

    Freezing keeps the collector from touching, and so from copying, what is shared. Nothing is
    collected before, as the holes that this leaves would be filled, and copied, by each worker
    (both the Python documentation's advice for servers that fork); what stays for good that way
    is 1,200 objects (measured).
    """
    load_common_passwords()
    gc.freeze()
    gc.enable()


# gunicorn reads this file again at SIGHUP, and forks new workers.
on_reload = when_ready


def post_worker_init(worker: ThreadWorker) -> None:
    """Let each worker answer for the public keys even if the database goes away at once.

    And let it say how it is doing, from its first second on.
    """
    with worker.wsgi.app_context():
        worker.wsgi.extensions[KEY_STORE_EXTENSION].warm_up()
    if settings.metrics_token:
        start_sampling(worker.wsgi)


def child_exit(arbiter: Arbiter, worker: ThreadWorker) -> None:
    """Keep what a worker counted, however it ended, and forget the rest of it."""
    if other_gunicorn is None:
        forget_connections(worker)
    if settings.metrics_token:
        forget_worker(worker.pid, alive=arbiter.WORKERS)


def on_exit(_arbiter: Arbiter) -> None:
    """Leave nothing behind."""
    run_folder.release("authserve-metrics-")


def pre_request(_worker: ThreadWorker, _request: Request) -> None:
    """Log nothing: by default gunicorn logs each path at DEBUG, be there a token in it or not."""


timeout = 30
graceful_timeout = 25
# Longer than proxies keep an idle connection (60 s is the usual default, of AWS's and nginx's):
# the side that sends requests has to close first, or one meets a connection that just closed.
keepalive = 75

# Whatever memory a worker collects over time is given back. The jitter keeps them from
# restarting together. Both chosen, not measured.
max_requests = 100_000
max_requests_jitter = 10_000

# A response is kept in memory for a client that does not take it; see `serving.client_socket`.
sendfile = False

# gunicorn's defaults, pinned so that no upgrade widens them; the body's limit is the
# application's.
limit_request_line = 4_094
limit_request_fields = 100
limit_request_field_size = 8_190

# gunicorn believes no proxy: TRUSTED_PROXIES is applied by the application, and there alone.
# By default it would believe every client that reaches it from this machine. (There is no
# setting for the `Server` header: it says gunicorn, without a version.)
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}

# By default gunicorn 27 listens for commands in the home folder.
control_socket_disable = True

# The workers' heartbeat is a file, which must not wait for a disk (gunicorn's FAQ on blocking
# in `os.fchmod`).
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

# The application writes one line a request itself, with what gunicorn cannot know.
accesslog = None
loglevel = settings.log_level.lower()


def leave_out_request(record: logging.LogRecord) -> bool:
    """Keep a request out of the log, be its level what it may: what is quoted may hold a token.

    For example `Ignored premature client disconnection. No more data after: b'GET /?token=…'`.
    """
    for quoting in ("Ignored premature client disconnection", "Error handling request"):
        if str(record.msg).startswith(quoting):
            record.msg, record.args = quoting, ()
    return True


class JSONLogger(Logger):  # type: ignore[misc]
    """gunicorn's own log, in the form and place of the application's.

    A `logconfig_dict` would do the same, but it turns the access log on.
    """

    def setup(self, cfg: Config) -> None:
        """Set the handlers up; gunicorn calls this at the start and at each reload."""
        super().setup(cfg)
        if cfg.errorlog == "-":
            handler = LineHandler()
            handler.setFormatter(JSONLineFormatter())
            handler.addFilter(leave_out_request)
            self.error_log.handlers = [handler]


logger_class = JSONLogger
