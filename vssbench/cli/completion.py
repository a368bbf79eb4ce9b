"""Shell completion: plug-ins' names and parameters, read from source text so that nothing heavy is
imported."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import rich_click as click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from vssbench.core import registry

#: the environment variable by which a shell asks; click derives it of the command's name
VARIABLE = "_VSSBENCH_COMPLETE"
#: names of arguments and options -> kind of plug-in
_PARAMETERS = {
    "method": "methods",
    "methods": "methods",
    "dataset": "datasets",
    "datasets": "datasets",
    "codec": "codecs",
    "codecs": "codecs",
    "codec_text": "codecs",
}
#: the same where only the command tells: (command, name)
_OF_COMMANDS = {
    ("info", "name"): tuple(registry.KINDS),
    ("compare", "first"): ("methods",),
    ("compare", "second"): ("methods",),
    ("codec info", "names"): ("codecs",),
    ("codec probe", "what"): ("codecs",),
    ("data status", "name"): ("datasets",),
    ("data verify", "name"): ("datasets",),
    ("data prepare", "name"): ("datasets",),
}
_OPEN_NAME = re.compile(r"([A-Za-z_][\w.-]*)\s*$")
#: the parameters whose value is a method
_NESTED = ("network",)


class Bash(BashComplete):
    """Bash, which takes a word apart at each ``=``: the parts are put together again, and the reply
    is what comes behind the last one."""

    # no blank behind what is not at its end
    source_template = BashComplete.source_template.replace(
        "    return 0\n",
        "    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=,[] ]] && compopt -o nospace\n"
        "    return 0\n",
    )
    _before = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and that one."""
        words = split_arg_string(os.environ["COMP_WORDS"])[: int(os.environ["COMP_CWORD"]) + 1]
        at_new_word = int(os.environ["COMP_CWORD"]) == len(words)
        joined: list[str] = []
        for place, word in enumerate(words):
            if joined and (word == "=" or (place and words[place - 1] == "=")):
                joined[-1] += word
            else:
                joined.append(word)
        if at_new_word and not (words and words[-1] == "="):
            joined.append("")
        last = joined[-1] if len(joined) > 1 else ""
        split_here = bool(words) and "=" in words[-2:]
        self._before = last[: last.rfind("=") + 1] if split_here else ""
        return joined[1:-1], last

    def format_completion(self, item: CompletionItem) -> str:
        """Return a reply as the shell's function reads it."""
        value = str(item.value)
        for before in (self._before, self._before.partition("=")[2]):
            if before and value.startswith(before):
                value = value[len(before) :]
                break
        return f"{item.type},{value}"


class Fish(FishComplete):
    """Fish, told to split a reply at its first comma alone: variants have more of them."""

    source_template = FishComplete.source_template.replace(
        'string split ","', 'string split -m 1 ","'
    )


#: shell -> its class
SHELLS = {"bash": Bash, "zsh": ZshComplete, "fish": Fish}


class VariantText(click.ParamType):
    """A variant's text, passed on as it is; completed by name, parameter and choice."""

    name = "text"

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the text; the commands read it."""
        return value

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Return what the text may go on with."""
        return [CompletionItem(text) for text in continued(incomplete, self.kinds)]


def register(commands: click.Group) -> None:
    """Make the arguments and options that take variants complete them, and the shells known."""
    for path, command in _walk(commands, ""):
        for parameter in command.params:
            name = str(parameter.name)
            kinds = _OF_COMMANDS.get((path, name)) or tuple(filter(None, [_PARAMETERS.get(name)]))
            if kinds and parameter.type is click.STRING:
                parameter.type = VariantText(kinds)
    for shell in SHELLS.values():
        add_completion_class(shell)


def _walk(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        here = f"{path} {name}".strip()
        yield here, command
        if isinstance(command, click.Group):
            yield from _walk(command, here)


def continued(text: str, kinds: tuple[str, ...]) -> list[str]:
    """Return what the beginning of a variant may go on with, each as the whole text."""
    start = _innermost(text)
    if start == 0:
        return _names(text, "", kinds)
    owner = _OPEN_NAME.search(text[: start - 1])
    found = [parameters(kind, owner[1]) for kind in registry.KINDS if owner] if owner else []
    known: dict[str, tuple[str, ...]] = {
        key: value for each in found for key, value in each.items()
    }
    part = text[start:].rpartition(",")[2]
    before = text[: len(text) - len(part)]
    key, equals, value = part.partition("=")
    if not equals:
        used = {each.partition("=")[0] for each in text[start:].split(",")[:-1]}
        return [f"{before}{name}=" for name in known if name.startswith(key) and name not in used]
    if key in _NESTED:
        return _names(value, f"{before}{key}=", ("methods",))
    return [f"{before}{key}={word}" for word in known.get(key, ()) if word.startswith(value)]


def _innermost(text: str) -> int:
    """Return where the innermost open bracket's content begins, 0 where none is open."""
    starts: list[int] = []
    for place, mark in enumerate(text):
        if mark == "[":
            starts.append(place + 1)
        elif mark == "]" and starts:
            starts.pop()
    return starts[-1] if starts else 0


def _names(begun: str, before: str, kinds: tuple[str, ...]) -> list[str]:
    names = {name: kind for kind in kinds for name in registry.plugins(kind)}
    found = [f"{before}{name}" for name in sorted(names) if name.startswith(begun)]
    if begun in names and parameters(names[begun], begun):
        found.append(f"{before}{begun}[")
    return found


def parameters(kind: str, name: str) -> dict[str, tuple[str, ...]]:
    """Return a plug-in's parameters with the choices that they have, without importing it.

    Nothing where there is no such plug-in, or its source cannot be read.
    """
    plugin = registry.plugins(kind).get(name)
    if plugin is None:
        return {}
    tree = _tree(plugin.module)
    base_module, base_name = registry.KINDS[kind][2].split(":")
    wanted = plugin.target.partition(":")[2]
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and wanted in ("", node.name):
            chain = list(_chain(plugin.module, node))
            if any(place == base_module and each.name == base_name for place, each in chain):
                return _declared(chain)
    return {}


def _declared(chain: list[tuple[str, ast.ClassDef]]) -> dict[str, tuple[str, ...]]:
    found: list[dict[str, tuple[str, ...]]] = []
    for module, node in chain:
        init = next(
            (e for e in node.body if isinstance(e, ast.FunctionDef) and e.name == "__init__"), None
        )
        if init is None:
            continue
        pairs = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        found.append({arg.arg: _choices(module, arg) for arg, default in pairs if default})
        if init.args.kwarg is None:
            break
    return {key: value for each in reversed(found) for key, value in each.items()}


def _choices(module: str, argument: ast.arg) -> tuple[str, ...]:
    """Return the values that an argument may have, where its annotation says them."""
    annotation = argument.annotation
    if isinstance(annotation, ast.Name) and annotation.id == "bool":
        return ("on", "off")
    if isinstance(annotation, ast.Name):
        _, value = _resolved(module, annotation.id)
        annotation = value.value if isinstance(value, ast.Assign) else None
    if not isinstance(annotation, ast.Subscript) or ast.unparse(annotation.value) != "Literal":
        return ()
    inside = annotation.slice
    items = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    return tuple(str(item.value) for item in items if isinstance(item, ast.Constant))


def _chain(module: str, node: ast.ClassDef) -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield a class and those that it derives from, as far as their source is found."""
    yield module, node
    for base in node.bases:
        if isinstance(base, ast.Name):
            place, found = _resolved(module, base.id)
            if isinstance(found, ast.ClassDef):
                yield from _chain(place, found)


@cache
def _resolved(module: str, name: str) -> tuple[str, ast.stmt | None]:
    """Return the statement that defines a name of a module, and the module where it stands."""
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            return module, node
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _resolved(node.module, alias.name)
    return module, None


@cache
def _tree(module: str) -> ast.Module:
    """Return a module's source as a tree, empty where it cannot be read; only plug-ins and this
    package are looked at."""
    try:
        spec = registry.find_spec(module)
        if spec is not None and spec.origin and spec.origin.endswith(".py"):
            return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    except (ImportError, OSError, SyntaxError, ValueError):
        pass
    return ast.Module(body=[], type_ignores=[])


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print the shell's code that completes commands, options, and plug-ins with their parameters.

    It serves the installed command `vssbench`. For example:

    \b
        eval "$(vssbench completion bash)"                      # in ~/.bashrc
        eval "$(vssbench completion zsh)"                       # in ~/.zshrc, after compinit
        vssbench completion fish > ~/.config/fish/completions/vssbench.fish
        python bench.py completion bash                         # to look at it
    """
    click.echo(SHELLS[shell](click.Group(), {}, "vssbench", VARIABLE).source())
