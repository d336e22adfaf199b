"""PTX as text -> kernels: parameters, variables, registers, instructions and their CUDA lines."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from ptx.fault import Unknown

SIZES = {"pred": 1, "b128": 16}
SIZES |= {f"{kind}{bits}": bits // 8 for kind in "busf" for bits in (8, 16, 32, 64)}
SIZES |= {"bf16": 2, "f16x2": 4, "bf16x2": 4}

_ENTRY = re.compile(
    r"(?:\.visible |\.weak )?\.entry\s+(?P<name>[\w$]+)\s*\((?P<parameters>.*?)\)", re.S
)
_FILE = re.compile(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', re.M)
_LOC = re.compile(r"\.loc\s+(\d+)\s+(\d+)(?:.*inlined_at\s+(\d+)\s+(\d+))?")
_VARIABLE = re.compile(
    r"(?:\.align\s+(?P<align>\d+)\s+)?\.(?P<type>\w+)\s+(?P<name>[\w$%]+)(?:\[(?P<count>\d*)\])?$"
)
_LABEL = re.compile(r"([$\w]+):(?!:)")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_SPLIT = re.compile(r",(?![^{\[]*[}\]])")


@dataclass(frozen=True)
class Variable:
    """In parameter, shared or local memory; offset and size in bytes; size None: dynamic."""

    offset: int
    size: int | None


@dataclass(eq=False)
class Instruction:
    """op: its name and suffixes; guard: (register, negated); place: file and line of the source."""

    op: list[str]
    operands: list[str]
    guard: tuple[str, bool] | None
    place: str
    text: str
    line: int  # of the module's text

    @property
    def type(self) -> str:
        return self.op[-1]


@dataclass
class Kernel:
    """One entry. `labels` maps a label to the instruction it stands before."""

    name: str
    parameters: dict[str, Variable] = field(default_factory=dict)
    shared: dict[str, Variable] = field(default_factory=dict)
    local: dict[str, Variable] = field(default_factory=dict)
    registers: dict[str, str] = field(default_factory=dict)
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    targets: dict[str, list[str]] = field(default_factory=dict)
    most_threads: int = 1024

    @property
    def static_shared(self) -> int:
        return _end(self.shared)


def entries(text: str) -> dict[str, str]:
    """The text of each entry of a module by its name, behind what the module declares."""
    starts = [match.start() for match in _ENTRY.finditer(text)]
    head, out = text[: starts[0]] if starts else "", {}
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        out[_ENTRY.match(text, start)["name"]] = text[start:end]
    shared = "\n".join(line for line in head.splitlines() if ".shared" in line and "//" not in line)
    return {name: f"{shared}\n{own}" for name, own in out.items()}


def lines(text: str) -> dict[str, int]:
    """The line at which each entry begins."""
    return {
        match["name"]: text.count("\n", 0, match.start()) + 1 for match in _ENTRY.finditer(text)
    }


def files(text: str, root: Path | None = None) -> dict[int, str]:
    """Source files by their numbers in .loc; those below `root` relative to it."""
    out = {}
    for number, name in _FILE.findall(text):
        path = Path(name)
        inside = root is not None and path.is_relative_to(root)
        out[int(number)] = (path.relative_to(root) if inside else path).as_posix()
    return out


def parse(entry: str, sources: dict[int, str], first_line: int = 1) -> Kernel:
    """The kernel of one of `entries`; first_line: of the module's text, where it begins."""
    head = _ENTRY.search(entry)
    kernel = Kernel(head["name"])
    for declared in filter(None, (word.strip() for word in head["parameters"].split(","))):
        _place(kernel.parameters, declared.removeprefix(".param").strip())
    body = entry[head.end() :]
    opening = body.index("{")
    for line in entry[: head.start()].splitlines():
        _declare(kernel, line.strip().removesuffix(";"))
    for match in re.finditer(r"\.maxntid\s+([\d, ]+)", body[:opening]):
        sizes = [int(size) for size in match[1].split(",")]
        kernel.most_threads = sizes[0] * sizes[1] * sizes[2] if len(sizes) == 3 else sizes[0]
    before = entry[head.start() : head.end() + opening + 1]
    reader = _Body(kernel, sources, first_line + before.count("\n"))
    reader.read(body[opening + 1 : _closing(body, opening)])
    return kernel


def _closing(text: str, opening: int) -> int:
    depth = 0
    for match in re.compile(r"[{}]").finditer(text, opening):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.start()
    raise ValueError("a brace is not closed")


def _end(variables: dict[str, Variable]) -> int:
    return max((v.offset + (v.size or 0) for v in variables.values()), default=0)


def _place(variables: dict[str, Variable], declared: str) -> None:
    match = _VARIABLE.match(declared)
    if match is None:
        raise Unknown(f"declaration: {declared}")
    size = SIZES[match["type"]]
    align = int(match["align"] or size)
    offset = -(-_end(variables) // align) * align
    counted = {None: size, "": None}.get(match["count"], 0)
    bytes_ = size * int(match["count"]) if counted == 0 else counted
    variables[match["name"]] = Variable(offset, bytes_)


def _declare(kernel: Kernel, text: str) -> bool:
    """Whether it was a declaration of memory."""
    for space in ("shared", "local"):
        text = text.removeprefix(".extern ").strip()
        if text.startswith(f".{space}"):
            _place(getattr(kernel, space), text.removeprefix(f".{space}").strip())
            return True
    return False


class _Body:
    """Reads the statements of one entry. A scope's own registers get names of their own."""

    def __init__(self, kernel: Kernel, sources: dict[int, str], line: int):
        self.kernel, self.sources, self.line = kernel, sources, line
        self.scopes: list[dict[str, str]] = [{}]
        self.place = "?"

    def read(self, text: str) -> None:
        waiting = ""
        lines = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text).splitlines()
        for number, line in enumerate(map(str.strip, lines), self.line):
            self.line = number
            if match := _LOC.match(line):
                if int(match[2]):  # line 0: of no line
                    self.place = self.located(match)
                continue
            waiting += " " + line
            *whole, waiting = waiting.split(";")
            for statement in whole:
                self.statement(statement.strip())
            if ".branchtargets" not in waiting:  # these go on over several lines
                waiting = self.open_and_close(waiting.strip())
        if waiting.strip():
            raise Unknown(f"statement: {waiting}")

    def located(self, loc: re.Match) -> str:
        """File and line; of what CUDA's own headers do, where they were called."""
        file, line = self.sources.get(int(loc[1]), "?"), loc[2]
        if file.startswith("/") and loc[3]:
            file, line = self.sources.get(int(loc[3]), "?"), loc[4]
        return f"{file}:{line}"

    def open_and_close(self, text: str) -> str:
        """Takes scopes' braces and labels from the front."""
        while True:
            if text.startswith("{"):
                self.scopes.append({})
                text = text[1:].strip()
            elif text.startswith("}"):
                self.scopes.pop()
                text = text[1:].strip()
            elif match := _LABEL.match(text):
                label, text = match[1], text[match.end() :].strip()
                if text.startswith(".branchtargets"):
                    names = text.removeprefix(".branchtargets").split(",")
                    self.kernel.targets[label] = [name.strip() for name in names]
                    return ""
                self.kernel.labels[label] = len(self.kernel.instructions)
            else:
                return text

    def statement(self, text: str) -> None:
        text = self.open_and_close(text)
        if not text or text.startswith(".pragma"):
            return
        if text.startswith(".reg"):
            self.registers(text)
        elif not _declare(self.kernel, text):
            if text.startswith("."):
                raise Unknown(f"directive: {text}")
            self.instruction(text)

    def registers(self, text: str) -> None:
        kind, names = re.match(r"\.reg\s+\.(\w+)\s+(.*)", text).groups()
        for name in (word.strip() for word in names.split(",")):
            if match := re.match(r"(.*)<(\d+)>$", name):
                for number in range(int(match[2])):
                    self.kernel.registers[f"{match[1]}{number}"] = kind
                continue
            own = name
            while own in self.kernel.registers:
                own += "'"
            self.kernel.registers[own] = kind
            self.scopes[-1][name] = own

    def instruction(self, text: str) -> None:
        guard = None
        if match := re.match(r"@(!?)([%\w$]+)\s+", text):
            guard = (self.named(match[2]), match[1] == "!")
            text = text[match.end() :]
        op, _, rest = text.partition(" ")
        if "\t" in op:
            op, _, more = op.partition("\t")
            rest = f"{more} {rest}"
        operands = [self.operand(word.strip()) for word in _SPLIT.split(rest) if word.strip()]
        plain = " ".join(text.split())
        self.kernel.instructions.append(
            Instruction(op.split("."), operands, guard, self.place, plain, self.line)
        )

    def operand(self, text: str) -> str:
        if any(self.scopes):
            return re.sub(r"[%\w$]+", lambda word: self.named(word[0]), text)
        return text

    def named(self, name: str) -> str:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return name
