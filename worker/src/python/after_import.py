# Runs in front of other scripts of the worker: acts on modules of the standard library when the script imports them,
# which many scripts never do.
import sys


class AfterImport:
    def __init__(self, actions):
        self.actions = actions
        self.searched = set()

    def find_spec(self, name, path=None, target=None):
        # the search below comes here again where another one of these is among the finders
        if name not in self.actions or name in self.searched:
            return None
        self.searched.add(name)
        try:
            for finder in list(sys.meta_path):
                if finder is not self and (spec := finder.find_spec(name, path, target)) is not None:
                    self.wrap(name, spec.loader)
                    return spec
        finally:
            self.searched.discard(name)
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
                pass  # another version of the module, or one of the script that has the name

        try:
            loader.exec_module = exec_module
        except (AttributeError, TypeError):
            pass  # a loader that cannot be changed


def after_import(actions):
    """Calls the action of each module with it: now if it is imported already, else when it is."""
    for name in list(actions):
        if name in sys.modules:
            actions.pop(name)(sys.modules[name])
    if actions:
        sys.meta_path.insert(0, AfterImport(actions))
