"""Prints, as JSON, where a Python source binds names at module level, so that it can be edited.

The source comes on standard input. Standard library only, CPython 3.9 and later.
"""
import ast
import json
import sys

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def within(node):
    """A node and what is below it in the same scope."""
    yield node
    if not isinstance(node, SCOPES):
        for child in ast.iter_child_nodes(node):
            yield from within(child)


def names_bound(node):
    if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
        yield node.id
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name


def leaves_early(function):
    inner = (part for statement in function.body for part in within(statement))
    return any(isinstance(part, (ast.Return, ast.Yield, ast.YieldFrom)) for part in inner)


def parameters(function):
    """The names of a plain function's parameters; nothing where it is called in other ways."""
    arguments = function.args
    unusual = (arguments.posonlyargs, arguments.vararg, arguments.kwonlyargs, arguments.kwarg)
    if function.decorator_list or any(unusual):
        return None
    return [argument.arg for argument in arguments.args]


def indentation(function, lines):
    """What stands before the statements of a body that begins on a line of its own."""
    first = function.body[0]
    before = lines[first.lineno - 1][: first.col_offset]
    return before.decode() if not before.strip() else None


def assigned(statement):
    """The name and the value of a plain assignment."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign) and statement.value:
        target = statement.target
    else:
        return None
    return target.id if isinstance(target, ast.Name) else None


def binding(statement, lines):
    """What is known of a statement that binds one name in a way that can be edited."""
    if assigned(statement):
        value = statement.value
        place = (value.lineno, value.col_offset, value.end_lineno, value.end_col_offset)
        return {"name": assigned(statement), "kind": "assignment", "value": place}
    if isinstance(statement, ast.FunctionDef):
        return {
            "name": statement.name,
            "kind": "function",
            "last": statement.end_lineno,
            "indent": indentation(statement, lines),
            "parameters": parameters(statement),
            "leaves_early": leaves_early(statement),
        }
    return None


def bindings(tree, lines):
    for statement in tree.body:
        plain = binding(statement, lines)
        if plain:
            yield plain
        for part in within(statement):
            for name in names_bound(part):
                if not plain or name != plain["name"]:
                    yield {"name": name, "kind": "other", "certain": part is statement or is_import(statement)}


def is_import(statement):
    return isinstance(statement, (ast.Import, ast.ImportFrom))


def main():
    source = sys.stdin.buffer.read()
    try:
        tree = ast.parse(source)
        compile(source, "source", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return {"error": str(error), "bindings": []}
    return {"error": None, "bindings": list(bindings(tree, source.splitlines() or [b""]))}


json.dump(main(), sys.stdout)
