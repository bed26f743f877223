"""Do to authserve what its promises are about, and hold the times and rates against them.

`make bench-faults` runs this. What callers see of each fault is asserted by tests, of which none
may depend on how fast the machine is; here is what does.
"""

import argparse
import os
import sys
import time

from bench.outages import measure_freeze, measure_herd, measure_outage
from bench.overload import measure_flood, measure_overload
from bench.restarts import measure_restarts, measure_stop
from bench.soak import measure_soak
from bench.stage import set_stage

FAULTS = {
    "R3": measure_stop,
    "R4": measure_restarts,
    "R5": measure_outage,
    "R7": measure_freeze,
    "R8": measure_overload,
    "R9": measure_flood,
    "R17": measure_herd,
    "R19": measure_soak,
}
"""By the promise that `--only` takes; R5 brings R6 along."""


def main() -> int:
    """Do what was asked for, and print each line as it is known; 1 if a promise was not kept."""
    options = _parse()
    began_at, are_kept = time.perf_counter(), True
    print(f"{os.cpu_count()} cores; load average {os.getloadavg()[0]:.1f}", flush=True)
    with set_stage(options.seconds, options.soak_requests) as stage:
        for name in options.only:
            for verdict in FAULTS[name](stage):
                print(verdict, flush=True)
                are_kept &= verdict.is_kept
    minutes = (time.perf_counter() - began_at) / 60
    print(f"{minutes:.0f} minutes; load average {os.getloadavg()[0]:.1f}")
    return 0 if are_kept else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--seconds", type=float, default=60.0, help="of an outage or overload (60)")
    parser.add_argument("--soak-requests", type=int, default=20_000, help="of the soak (20,000)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
