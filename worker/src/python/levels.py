# Runs after prelude.py: lines of the log get the level that the script means. The supervisor reads the prefix `<N>`, as
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


class AfterImport:
    """Acts on modules of the standard library when the script imports them, which many scripts never do."""

    def __init__(self, actions):
        self.actions = actions

    def find_spec(self, name, path=None, target=None):
        if name not in self.actions:
            return None
        for finder in list(sys.meta_path):
            if finder is not self and (spec := finder.find_spec(name, path, target)) is not None:
                self.wrap(name, spec.loader)
                return spec
        return None

    def wrap(self, name, loader):
        if isinstance(loader, type):
            return  # all modules share it
        execute = loader.exec_module

        def exec_module(module):
            execute(module)
            action = self.actions.pop(name, None)
            if not self.actions and self in sys.meta_path:
                sys.meta_path.remove(self)
            try:
                if action is not None:
                    action(module)
            except AttributeError:
                pass  # a module of the script that has the name

        try:
            loader.exec_module = exec_module
        except (AttributeError, TypeError):
            pass  # a loader that cannot be changed: all its lines have the level of their stream


actions = {"logging": mark_records, "threading": mark_thread_errors}
for name in list(actions):
    if name in sys.modules:
        actions.pop(name)(sys.modules[name])
if actions:
    sys.meta_path.insert(0, AfterImport(actions))
sys.unraisablehook = unraisable
