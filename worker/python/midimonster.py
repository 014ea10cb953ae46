"""The module `midimonster` outside of an instance: in a child process of a script that is a Python of its own
(`multiprocessing` with spawn or forkserver, `subprocess`), in a test, or in a script that runs alone.

`timestamp()` works. The other functions need the router, and raise RuntimeError. One case is let through: a script that
is imported calls them in its module's own code to set itself up. The instance has done that already, so here they do
nothing, as if the instance had no channels.
"""
import sys as _sys
import time as _time

__all__ = ["channels", "cleanup_handler", "current", "inputvalue", "interval", "manage", "output", "outputvalue",
           "timestamp"]


def _is_importing():
    """Whether a module other than the main one is being imported by the code that called."""
    frame = _sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            spec = frame.f_globals.get("__spec__")
            if getattr(spec, "_initializing", False):
                return True
        frame = frame.f_back
    return False


def _needs_router(name):
    if not _is_importing():
        raise RuntimeError(
            f"midimonster.{name}() works in an instance of mm-supervisor only, and this process is not one "
            "(it is a child process of a script, or a script that runs alone)")


def output(name, value, /):
    """Sends a value, clamped to 0.0..1.0, as an event of the channel."""
    _needs_router("output")


def inputvalue(name, /):
    """Last input value of the channel; None for an unknown name."""
    _needs_router("inputvalue")


def outputvalue(name, /):
    """Last value that was sent on the channel; None for an unknown name."""
    _needs_router("outputvalue")


def current():
    """Name of the channel whose handler runs, else None."""
    _needs_router("current")


def timestamp():
    """Milliseconds of the core's monotonic clock."""
    return _time.monotonic_ns() // 1_000_000


def interval(callable, milliseconds, /):
    """Calls the callable at this interval; 0 ends that."""
    _needs_router("interval")


def manage(callable, socket, /):
    """Calls `callable(socket)` whenever the socket is readable; None ends that."""
    _needs_router("manage")


def channels():
    """Names of all channels of the instance."""
    _needs_router("channels")
    return []


def cleanup_handler(callable, /):
    """Sets (or with None removes) the function that is called when the instance is stopped."""
    _needs_router("cleanup_handler")
