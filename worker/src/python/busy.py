# Runs once behind after_import.py, before the modules are imported: exceptions that end a thread or a task are shown to `note` on their way to
# where Python, or the script, handles them.
import sys


def watch_threads(threading):
    make = threading._make_invoke_excepthook

    def make_invoke_excepthook():
        invoke = make()

        def invoke_excepthook(thread):
            note(sys.exc_info()[1])
            invoke(thread)

        return invoke_excepthook

    threading._make_invoke_excepthook = make_invoke_excepthook


def watch_unraisable():
    """Also threads of the module `_thread`, and exceptions in destructors."""
    handle = sys.unraisablehook

    def unraisablehook(unraisable):
        note(unraisable.exc_value)
        handle(unraisable)

    sys.unraisablehook = unraisablehook


def watch_loops(base_events):
    """Tasks whose exception no code takes, and callbacks."""
    loop = base_events.BaseEventLoop
    handle = loop.call_exception_handler

    def call_exception_handler(self, context):
        note(context.get("exception"))
        handle(self, context)

    loop.call_exception_handler = call_exception_handler


watch_unraisable()
after_import({"threading": watch_threads, "asyncio.base_events": watch_loops})
