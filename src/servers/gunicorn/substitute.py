"""Has gunicorn read another text than its configuration holds. Stands before `settings.py` and `runner.py`."""
from _frozen_importlib_external import SourceFileLoader  # part of the interpreter: nothing is searched for


def substitute(text):
    """Compiles `text` instead of the configuration's own, under the configuration's own name.

    So `__file__`, lines and tracebacks are those of the user, whose file stays as it is.
    """
    from gunicorn.app.base import Application

    def reading(read, module_of):
        def wrapper(app, location):
            original = SourceFileLoader.get_code

            def get_code(loader, name):
                if name == module_of(location):
                    return compile(text, loader.get_filename(name), "exec", dont_inherit=True)
                return original(loader, name)

            SourceFileLoader.get_code = get_code
            try:
                return read(app, location)
            finally:
                del SourceFileLoader.get_code  # it is inherited

        return wrapper

    Application.get_config_from_filename = reading(
        Application.get_config_from_filename, lambda _: "__config__"
    )
    Application.get_config_from_module_name = reading(
        Application.get_config_from_module_name, lambda name: name
    )


