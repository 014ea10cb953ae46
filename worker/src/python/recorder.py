# Runs once before the modules are imported.
#
# Python's loader of source files is observed: `loaded` gets the text of each module of the script as it is compiled,
# so that a later worker can be given exactly these texts. `kept` holds such texts by path; they take the place of the
# files, which may be broken by now.
import os
import sys

# What `importlib.machinery` and `importlib.util` are made of, without what else these import.
import _frozen_importlib_external as machinery

Loader = machinery.SourceFileLoader
read = Loader.get_data


def get_data(self, path):
    data = read(self, path)
    source = getattr(self, "path", None)
    # A compiled file that is up to date stands for its source.
    if source is not None and (path == source or path.endswith(".pyc")) and wants(source):
        try:
            loaded(source, data if path == source else read(self, source))
        except OSError:
            pass
    return data


Loader.get_data = get_data


class LastGoodLoader(Loader):
    """Loads the text that is kept in place of the file."""

    def get_data(self, path):
        text = kept.get(path)
        if text is None:
            return super().get_data(path)
        loaded(path, text)
        import linecache

        try:
            lines = machinery.decode_source(text).splitlines(keepends=True)
            # Without a time, an entry is not compared with the file: tracebacks show the lines that run.
            linecache.cache[path] = (len(text), None, lines, path)
        except (SyntaxError, UnicodeError):
            pass
        return text

    def path_stats(self, path):
        raise OSError("a text that is kept has no compiled file")


class LastGoodFinder:
    """Finds the modules whose text is kept, in the order of the search path."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        tail = name.rpartition(".")[2]
        for entry in sys.path if path is None else path:
            if not isinstance(entry, str):
                continue
            base = os.path.join(entry or os.getcwd(), tail)
            for file, places in ((os.path.join(base, "__init__.py"), [base]), (base + ".py", None)):
                if file in kept:
                    loader = LastGoodLoader(name, file)
                    return machinery.spec_from_file_location(
                        name, file, loader=loader, submodule_search_locations=places
                    )
        return None


if kept:
    finders = sys.meta_path
    place = finders.index(machinery.PathFinder) if machinery.PathFinder in finders else len(finders)
    finders.insert(place, LastGoodFinder)
