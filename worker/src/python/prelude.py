# Runs once when the interpreter has started, before anything of the user's.
import _signal
import faulthandler
import io
import os
import sys


def line_by_line(stream, errors):
    """What is printed is seen at once, and a line goes out in one piece. (The interpreter itself is set up without
    buffers, since that is what makes the C library's stdout unbuffered too.)"""
    if stream is None:
        return None
    encoding, raw = stream.encoding, stream.detach()
    buffer = io.BufferedWriter(getattr(raw, "raw", raw))
    wrapper = io.TextIOWrapper(buffer, encoding=encoding, errors=errors, line_buffering=True)
    wrapper.mode = "w"
    return wrapper


if sys.stdout is not None:
    sys.stdout = sys.__stdout__ = line_by_line(sys.stdout, sys.stdout.errors)
if sys.stderr is not None:
    sys.stderr = sys.__stderr__ = line_by_line(sys.stderr, "backslashreplace")

# a thread that computes hands the interpreter lock over within half a millisecond
sys.setswitchinterval(0.0005)

# The stacks of all threads go to standard error when the process crashes, and when it is asked for them because it
# hangs. Neither needs the interpreter lock.
faulthandler.enable(file=2, all_threads=True)
faulthandler.register(stack_signal, file=2, all_threads=True, chain=False)

# signals that the script handles wake the main loop
_signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)

# The supervisor decides when a worker stops. The signal is not ignored, since programs that the script starts would
# inherit that.
def ignore_interrupt(signal, frame):
    pass


_signal.signal(_signal.SIGINT, ignore_interrupt)


def after_fork():
    """A child made by fork has our memory, but it is not the instance: it can be interrupted as any Python."""
    forked()
    if _signal.getsignal(_signal.SIGINT) is ignore_interrupt:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


os.register_at_fork(after_in_child=after_fork)

# A child that is a Python of its own finds a `midimonster` there. Those of multiprocessing get the search path, all
# others the environment.
if child_modules is not None:
    sys.path.append(child_modules)
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = child_modules if not known else known + os.pathsep + child_modules
