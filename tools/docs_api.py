"""griffe extension: the reference shows vitprobe as Python does.

Public names are loaded when they are first asked for, and `takes_inputs` writes the options of
images into signature and docstring at run time. griffe reads the source, where neither is seen:
here each public name becomes an alias of what it stands for, and the options are filled in.
"""

import inspect
from importlib import import_module

import griffe


class AsInPython(griffe.Extension):
    def on_function(self, *, func: griffe.Function, **_) -> None:
        if not any("takes_inputs" in str(each.value) for each in func.decorators):
            return
        function = getattr(import_module(func.module.path), func.name)
        func.docstring.value = inspect.getdoc(function)
        own = {each.name: each for each in func.parameters}
        told = inspect.signature(function).parameters.values()
        func.parameters = griffe.Parameters(*(own.get(each.name) or _told(each) for each in told))

    def on_package(self, *, pkg: griffe.Module, **_) -> None:
        package = import_module(pkg.path)
        for name in package.__all__:
            home = getattr(package, name).__module__
            pkg.set_member(name, griffe.Alias(name, f"{home}.{name}", parent=pkg))


def _told(parameter: inspect.Parameter) -> griffe.Parameter:
    return griffe.Parameter(
        parameter.name,
        kind=griffe.ParameterKind.keyword_only,
        annotation=parameter.annotation,
        default=repr(parameter.default),
    )
