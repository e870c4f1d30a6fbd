"""Modules of an author's own as Python source: a class for each way through their parts."""

from __future__ import annotations

import ast
import re
import textwrap
from itertools import chain, count

from torch import fx, nn

from nas.errors import NasError, first_line

BASE = '''\
class Block(nn.Module):
    """A module of the given parts; each subclass says how images pass through them."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


'''


TAKEN = {"Any", "Block", "Image", "ImageOps", "Model", "OrderedDict", "Path", "Tensor"}
"""Names that mean something else in model.py."""


class Blocks:
    """The classes that a network needs besides those of `torch.nn`."""

    def __init__(self) -> None:
        self._bodies: dict[str, tuple[str, str]] = {}
        """Name of the author's class, and what stands in ours, by the name of ours."""

    def class_of(self, module: nn.Module, described: str) -> str:
        """The name of the class whose forward does what that of `module` does in evaluation mode.

        Raises:
            NasError: PyTorch cannot follow its forward.
        """
        original = type(module).__name__
        content = original, _docstring(module) + _forward(module, described)
        for name, known in self._bodies.items():
            if known == content:
                return name
        # two modules of one class differ where their forward decides by what they are
        names = chain([original], (f"{original}{number}" for number in count(2)))
        name = next(name for name in names if name not in self._bodies.keys() | TAKEN)
        self._bodies[name] = content
        return name

    def source(self) -> str:
        """The definitions of all classes so far; empty where there are none."""
        classes = (
            f"class {name}(Block):\n{textwrap.indent(body, '    ')}\n\n\n"
            for name, (_, body) in self._bodies.items()
        )
        return BASE + "".join(classes) if self._bodies else ""


def _docstring(module: nn.Module) -> str:
    """The first line of what the author says about the class of a module, if anything."""
    lines = (type(module).__dict__.get("__doc__") or "").strip().splitlines()
    plain = lines and not {"\\", '"'} & set(lines[0])
    return f'"""{lines[0]}"""\n\n' if plain else ""


class _OneLevel(fx.Tracer):
    """Follows the `forward` of a module, not those of its parts."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def _forward(module: nn.Module, described: str) -> str:
    """The `forward` of a module as source.

    A condition on a part, such as `if self.shortcut is None`, is decided here; one on values cannot be.
    """
    try:
        code = _OneLevel().trace(module).python_code("self").src
    except Exception as error:  # the code is the author's
        raise NasError(
            f"The format source cannot write {described}: its forward cannot be followed: {first_line(error)}"
        ) from error
    parts = module._modules.keys() | module._parameters.keys() | module._buffers.keys()
    if missing := sorted(set(re.findall(r"\bself\.(\w+)", code)) - parts):
        raise NasError(
            f"The format source cannot write {described}: its forward uses {missing[0]!r}, a tensor that is"
            " neither parameter nor buffer."
        )
    return _tidied(code)


def _tidied(code: str) -> str:
    """Code as PyTorch writes it, as a person would."""
    (function,) = ast.parse(textwrap.dedent(code)).body
    assert isinstance(function, ast.FunctionDef)
    function.body = [statement for statement in function.body if not _frees(statement)]
    match function.body:
        case [*_, ast.Assign(targets=[ast.Name(id=name)], value=value), ast.Return(value=ast.Name(id=same))]:
            if name == same:
                function.body[-2:] = [ast.Return(value)]
    text = ast.unparse(function).replace("torch.nn.", "nn.").replace("torch.Tensor", "Tensor")
    return re.sub(r"getattr\(self\.(\w+), '(\d+)'\)", r"self.\1[\2]", text)


def _frees(statement: ast.stmt) -> bool:
    """Whether it is `x = None`, by which PyTorch lets go of what is no longer needed."""
    return isinstance(statement, ast.Assign) and ast.unparse(statement.value) == "None"
