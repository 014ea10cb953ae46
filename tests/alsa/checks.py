"""Runs in the machine: all checks, one after the other, each with a line of its own."""

import os
import sys
import time
import traceback

import absence
import events
import hotplug
import latency
import names


def main():
    # in this order: the first ones need a machine without MIDI
    checks = [*absence.CHECKS, *events.CHECKS, *names.CHECKS, *hotplug.CHECKS]
    only = os.environ.get("MM_ONLY", "")
    failed = []
    checks = [check for check in checks if only in check.__name__ or check in absence.CHECKS]
    for check in checks:
        title = check.__name__.replace("_", " ")
        start = time.monotonic()
        try:
            check()
            print(f"ok    {title} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception:
            failed.append(title)
            print(f"FAIL  {title}", *traceback.format_exc().splitlines(), sep="\n      ", flush=True)
    if not only:
        latency.measure(os.environ.get("MM_REFERENCE"))
    if failed:
        print(f"{len(failed)} of {len(checks)} checks failed", *failed, sep="\n  ")
        sys.exit(1)
    print(f"all {len(checks)} checks passed")


main()
