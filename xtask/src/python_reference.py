"""Prints the reference of the Python package from its docstrings and its stubs, as Markdown. Run by `cargo xtask gen`.

    python3 python_reference.py PACKAGE ERRORS

PACKAGE is the folder of the package, ERRORS the file of its exceptions. Sources are parsed, never imported.
"""
import ast
import inspect
import pathlib
import re
import sys

# In the order in which a reader meets them; what is not named comes behind, by name.
SECTIONS = {
    "Registries": ["NodeData", "Datasets", "Created", "Upload"],
    "Revisions": ["Dataset", "Split", "Steps", "open_folder"],
    "Streams": ["Stream", "Batches", "mix"],
    "Samples": ["Episode", "Step", "Sample", "Ragged"],
    "Normalisation": ["Stats", "Normalizer"],
    "Conversion": ["convert", "inspect", "run", "validate", "build_info"],
}
ERRORS = "Errors"
SPECIAL = {"__call__", "__getitem__", "__getitems__", "__len__"}


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def definitions(tree):
    """Classes and functions of a module, by name."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return {it.name: it for it in tree.body if isinstance(it, kinds)}


def prose(node):
    """The docstring, with Python's marks as those of Markdown."""
    text = ast.get_docstring(node) or ""
    text = re.sub(r":(?:class|meth|func):`([^`]+)`", r"`\1`", text)
    text = text.replace("``", "`")
    # Headings with indented text below become paragraphs that begin with a bold word.
    text = re.sub(r"^(\S[^\n]*):\n((?:  [^\n]*\n?)+)", lambda it: f"**{it[1]}.** {inspect.cleandoc(it[2])}\n", text, flags=re.M)
    return text.strip()


def signature(name, node):
    """As the stub says it, one argument a line where it is long."""
    arguments = ast.unparse(node.args)
    arguments = re.sub(r"^self(?:, )?", "", arguments)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{name}({arguments}){returns}"
    if len(line) <= 100:
        return line
    return f"{name}(\n    " + ",\n    ".join(split(arguments)) + f",\n){returns}"


def split(arguments):
    """Arguments at the commas between them."""
    found, depth, start = [], 0, 0
    for at, letter in enumerate(arguments):
        depth += letter in "[(" or 0
        depth -= letter in "])" or 0
        if letter == "," and depth == 0:
            found.append(arguments[start:at].strip())
            start = at + 1
    return [*found, arguments[start:].strip()]


def block(text):
    return f"```python\n{text}\n```"


def overloads(body, name):
    """The definitions of a name in a stub, of which there may be several."""
    return [it for it in body if isinstance(it, ast.FunctionDef) and it.name == name]


def is_property(node):
    return any(isinstance(it, ast.Name) and it.id == "property" for it in node.decorator_list)


def function(name, source, stub, level="###"):
    found = "\n".join(signature(name, it) for it in overloads(stub.body, name))
    return [f"{level} `{name}`", block(found), prose(source)]


def class_(name, source, stub):
    bases = ", ".join(ast.unparse(it) for it in stub.bases)
    parts = [f"### class `{name}`"]
    init = overloads(stub.body, "__init__")
    # Only what users make themselves is shown with how to make it.
    if init and name in ("NodeData",):
        parts.append(block("\n".join(signature(name, it) for it in init)))
    elif bases:
        parts.append(f"A `{bases}`.")
    parts.append(prose(source))
    fields = [
        (it.target.id, ast.unparse(it.annotation)) for it in stub.body if isinstance(it, ast.AnnAssign) and isinstance(it.target, ast.Name)
    ]
    properties = [it for it in source.body if isinstance(it, ast.FunctionDef) and is_property(it) and ast.get_docstring(it)]
    if properties or fields:
        told = {it.name: prose(it) for it in properties}
        types = dict(fields) | {
            it.name: ast.unparse(it.returns) for it in stub.body if isinstance(it, ast.FunctionDef) and is_property(it) and it.returns
        }
        names = [name for name, _ in fields if name not in told] + list(told)
        lines = [f"| `{it}` | `{types.get(it, '').replace('|', '¦')}` | {' '.join(told.get(it, comment(source, it)).split())} |" for it in names]
        parts.append("\n".join(["| attribute | type | |", "| --- | --- | --- |", *(it.replace("¦", "\\|") for it in lines)]))
    for method in source.body:
        if not isinstance(method, ast.FunctionDef) or is_property(method) or not ast.get_docstring(method):
            continue
        if method.name.startswith("_") and method.name not in SPECIAL:
            continue
        if overloads(stub.body, method.name):
            parts += function(method.name, method, stub, "####")
    return parts


COMMENTS = {}


def comment(source, name):
    """The `#:` line above an attribute."""
    for node in ast.walk(source):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        for target in targets:
            found = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", None)
            if found == name:
                return COMMENTS.get((source.name, node.lineno), "")
    return ""


def remember_comments(path, tree):
    """Comments are no part of the tree."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for number in range(node.lineno, node.end_lineno + 1):
                above = lines[number - 2].strip()
                if above.startswith("#:"):
                    COMMENTS[node.name, number] = above.removeprefix("#:").strip()


def main(package, errors):
    sources = {}
    for path in sorted(package.glob("*.py")):
        tree = parsed(path)
        remember_comments(path, tree)
        for name, node in definitions(tree).items():
            if not path.stem.startswith("_torch") and path.stem != "ray":
                # `__init__.py` comes first, and what it defines itself goes before what is called alike elsewhere.
                sources.setdefault(name, node)
    stub = parsed(package / "__init__.pyi")
    stubs = definitions(stub)
    exceptions = [it for it in parsed(errors).body if isinstance(it, ast.ClassDef)]
    public = next(
        ast.literal_eval(it.value) for it in stub.body if isinstance(it, ast.Assign) and ast.unparse(it.targets[0]) == "__all__"
    )
    told = {it.name for it in exceptions} | {"__version__"} | {name for names in SECTIONS.values() for name in names}
    rest = sorted(set(public) - told)
    if rest:
        raise SystemExit(f"no section of the reference names {', '.join(rest)}")
    out = [
        f"<!-- {'@'}generated by `cargo xtask gen` from the docstrings of the package. Do not edit. -->",
        "# The Python package `nodedata`",
        "[The guide](../guides/python.md) shows how to use it, one task after the other.",
    ]
    assigned = [it for it in stub.body if isinstance(it, ast.Assign)]
    aliases = [it for it in assigned if not ast.unparse(it.targets[0]).startswith("__")]
    out.append("Signatures name these types:")
    out.append(block("\n".join(ast.unparse(it) for it in aliases)))
    for section, names in SECTIONS.items():
        out.append(f"## {section}")
        for name in names:
            source = sources[name]
            out += class_(name, source, stubs[name]) if isinstance(source, ast.ClassDef) else function(name, source, stub)
    torch = definitions(parsed(package / "_torch.py"))
    out.append("## PyTorch")
    for name in ("NodeLoader", "IterableDataset"):
        out += class_(name, torch[name], torch[name])
    out.append("## Ray")
    ray = parsed(package / "ray.py")
    out += function("convert", definitions(ray)["convert"], ray)
    out.append(f"## {ERRORS}")
    out.append(
        "Each has `kind`, `message`, `where` (a dict with any of `dataset`, `revision`, `shard`, `row`, `episode`, `step`, `feature`, `byte`) "
        "and `hint`, and comes back whole from other processes."
    )
    lines = ["| exception | is also | |", "| --- | --- | --- |"]
    for it in exceptions:
        bases = ", ".join(f"`{ast.unparse(base)}`" for base in it.bases if ast.unparse(base) != "NodeDataError")
        lines.append(f"| `{it.name}` | {bases} | {prose(it).splitlines()[0] if prose(it) else ''} |")
    out.append("\n".join(lines))
    print("\n\n".join(part for part in out if part))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
