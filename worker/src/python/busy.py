# Runs once before the modules are imported: exceptions that end a thread or a task are shown to `note` on their way to
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
    """Tasks whose exception nobody takes, and callbacks."""
    loop = base_events.BaseEventLoop
    handle = loop.call_exception_handler

    def call_exception_handler(self, context):
        note(context.get("exception"))
        handle(self, context)

    loop.call_exception_handler = call_exception_handler


class AfterImport:
    """Acts on modules of the standard library when the script imports them, which many scripts never do."""

    def __init__(self, actions):
        self.actions = actions

    def find_spec(self, name, path=None, target=None):
        action = self.actions.pop(name, None)
        if action is None:
            return None
        if not self.actions:
            sys.meta_path.remove(self)
        for finder in list(sys.meta_path):
            if finder is not self and (spec := finder.find_spec(name, path, target)) is not None:
                self.wrap(spec.loader, action)
                return spec
        return None

    def wrap(self, loader, action):
        if isinstance(loader, type):
            return  # all modules share it
        execute = loader.exec_module

        def exec_module(module):
            execute(module)
            try:
                action(module)
            except AttributeError:
                pass  # another version of the module, or one of the script that has the name

        try:
            loader.exec_module = exec_module
        except (AttributeError, TypeError):
            pass  # a loader that cannot be changed


watch_unraisable()
actions = {"threading": watch_threads, "asyncio.base_events": watch_loops}
for name in list(actions):
    if name in sys.modules:
        actions.pop(name)(sys.modules[name])
if actions:
    sys.meta_path.insert(0, AfterImport(actions))
