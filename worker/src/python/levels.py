# Runs after prelude.py, behind after_import.py: lines of the log get the level that the script means. The supervisor reads the prefix `<N>`, as
# systemd does (sd-daemon(3)), in front of a line on standard output or error.
import sys

STREAMS = tuple(stream for stream in (sys.stdout, sys.stderr) if stream is not None)
THREAD_ERROR = "<3>"


def prefixed(mark, text):
    return "".join(mark + line + "\n" for line in text.rstrip("\n").split("\n"))


def mark_of(level):
    return "<3>" if level >= 40 else "<4>" if level >= 30 else "<6>" if level >= 20 else "<7>"


def is_ours(stream):
    return any(stream is own for own in STREAMS)


def mark_records(logging):
    """Handlers of the script and Python's own both end here if they write to a stream, so the script configures
    `logging` as everywhere. Handlers with a stream, or an `emit`, of their own are as they are."""
    plain = logging.StreamHandler.emit

    def emit(self, record):
        if self.terminator != "\n" or not is_ours(self.stream):
            return plain(self, record)
        try:
            self.stream.write(prefixed(mark_of(record.levelno), self.format(record)))
            self.flush()
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    emit.__doc__ = plain.__doc__
    logging.StreamHandler.emit = emit


def mark_thread_errors(threading):
    """What a thread raises and does not catch is an error."""
    plain = threading.excepthook

    def excepthook(args, /):
        stream = sys.stderr
        if args.exc_type is SystemExit or not is_ours(stream):
            return plain(args)
        import traceback
        name = args.thread.name if args.thread is not None else "?"
        lines = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
        stream.write(prefixed(THREAD_ERROR, f"Exception in thread {name}:\n" + "".join(lines)))
        stream.flush()

    threading.excepthook = excepthook


def unraisable(args, /):
    """Threads without an object of `threading` report here."""
    stream = sys.stderr
    if not is_ours(stream) or "thread" not in (args.err_msg or ""):
        return sys.__unraisablehook__(args)
    import traceback
    lines = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
    stream.write(prefixed(THREAD_ERROR, f"{args.err_msg} {args.object!r}:\n" + "".join(lines)))
    stream.flush()


after_import({"logging": mark_records, "threading": mark_thread_errors})
sys.unraisablehook = unraisable
