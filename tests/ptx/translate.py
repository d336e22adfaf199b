"""A kernel's blocks -> Python functions over arrays of lanes, compiled once.

A function takes (W, R, m, a): the Wave, the registers that leave their block (a list), the mask and
the active lanes; it returns the branch's predicate, or None. Registers are held as unsigned
integers, bool (.pred), float32 (.f32) or float64 (.f64), and never changed in place; what is the
same in all lanes may be an array of one. There are two functions of a block: for all lanes, and
under a mask.
"""

import re

import numpy as np

from ptx import arithmetic, comparisons, conversions, floating, flow, movement
from ptx.fault import Unknown
from ptx.text import SIZES, Instruction, Kernel

KINDS = {"pred": np.bool_, "f16": np.float16, "f32": np.float32, "f64": np.float64}
KINDS |= {name: np.dtype(f"u{SIZES[name]}").type for name in SIZES if name[0] in "bu" and
          name not in ("b128", "bf16x2")}  # fmt: skip
KINDS |= {f"s{bits}": np.dtype(f"i{bits // 8}").type for bits in (8, 16, 32, 64)}
KINDS |= {"bf16": np.uint16, "f16x2": np.uint32, "bf16x2": np.uint32, "tf32": np.float32}
_FILES = (arithmetic, comparisons, conversions, floating, movement)
FAMILIES = {name: family for file in _FILES for name, family in file.FAMILIES.items()}
_NAMES = {name: value for file in _FILES for name, value in file.NAMES.items()}
_SPECIAL = re.compile(r"%(tid|ntid|ctaid|nctaid)\.([xyz])$|%(laneid|warpid|lanemask_\w+)$")


def held(kernel: Kernel, register: str):
    """The kind in which a register is held."""
    declared = kernel.registers[register]
    if declared in ("pred", "f32", "f64"):
        return KINDS[declared]
    return np.dtype(f"u{SIZES[declared]}").type


class Program:
    """A kernel ready to run: blocks, and their functions as they are first needed."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.blocks = flow.blocks(kernel)
        self.numbers = {instruction: i for i, instruction in enumerate(kernel.instructions)}
        self.places = {name: i for i, name in enumerate(kernel.registers)}
        self.kinds = [held(kernel, name) for name in kernel.registers]
        self._functions: dict[tuple[int, bool], object] = {}

    def function(self, number: int, masked: bool):
        key = number, masked
        if key not in self._functions:
            self._functions[key] = Writer(self, self.blocks[number], masked).function()
        return self._functions[key]


class Writer:
    """Writes the function of one block. What families call: read, write, line, call, constant."""

    def __init__(self, program: Program, block: flow.Block, masked: bool):
        self.program, self.kernel, self.block = program, program.kernel, block
        self.masked = masked
        self.lines: list[str] = []
        self.names = {"np": np, "where": np.where, **_NAMES}
        self.known: set[str] = set()  # registers that are Python variables by now
        self.changed: dict[str, None] = {}
        self.mask, self.act = ("m", "a") if masked else ("None", "None")
        self.count = 0
        self.instruction: Instruction | None = None

    def function(self):
        for instruction in self.block.instructions:
            self.translate(instruction)
        end = self.block.end
        out = "None"
        if end is not None and end.op[0] == "brx":
            out = self.read(end.operands[0], "u32")
        elif end is not None and end.guard:
            name, negated = end.guard
            out = ("~" if negated else "") + self.read(name, "pred")
        for name in self.changed:
            if name not in self.block.own:
                self.line(f"R[{self.program.places[name]}] = {self.variable(name)}")
        body = "\n ".join([*self.lines, f"return {out}"])
        exec(compile(f"def f(W, R, m, a):\n {body}\n", self.kernel.name[:60], "exec"), self.names)
        return self.names["f"]

    def translate(self, instruction: Instruction) -> None:
        self.instruction = instruction
        family = FAMILIES.get(instruction.op[0])
        if family is None:
            raise Unknown(f"{instruction.place}: instruction {'.'.join(instruction.op)}")
        outer = self.mask, self.act
        if instruction.guard:
            name, negated = instruction.guard
            predicate = ("~" if negated else "") + self.read(name, "pred")
            self.mask, self.act = self.fresh("g"), self.fresh("g")
            self.line(f"{self.mask} = W.whole_mask({predicate}, {outer[0]})")
            self.line(f"{self.act} = np.flatnonzero({self.mask})")
        try:
            family(self, instruction)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            text = instruction.text
            raise Unknown(f"{instruction.place}: instruction {text} ({error!r})") from error
        self.mask, self.act = outer

    # ---- what families use

    @property
    def index(self) -> int:
        return self.program.numbers[self.instruction]

    @property
    def context(self) -> str:
        """The last arguments of what works on memory and warps."""
        return f"{self.mask}, {self.act}, {self.index}"

    def line(self, text: str) -> None:
        self.lines.append(text)

    def fresh(self, letter: str = "t") -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def variable(self, register: str) -> str:
        return f"r{self.program.places[register]}"

    def constant(self, value, kind) -> str:
        name = self.fresh("k")
        self.names[name] = np.array([value]).astype(kind) if kind is not None else value
        return name

    def read(self, operand: str, type_: str) -> str:
        """An expression for an array of the kind of this type."""
        kind = KINDS[type_]
        negated = operand.startswith("!")
        operand = operand.removeprefix("!")
        if operand in self.kernel.registers:
            text = self._register(operand, kind)
        elif match := _SPECIAL.match(operand):
            own = self.constant(match[1] or match[3], None)
            text = f"W.special({own}, {match[2]!r}).astype(np.{np.dtype(kind).name})"
        else:
            text = self.constant(self._immediate(operand, kind), None)
        return f"(~{text})" if negated else text

    def _register(self, name: str, kind) -> str:
        own = self.variable(name)
        if name not in self.known:
            self.line(f"{own} = R[{self.program.places[name]}]")
            self.known.add(name)
        stored, wanted = np.dtype(self.held(name)), np.dtype(kind)
        if stored == wanted:
            return own
        if stored.itemsize == wanted.itemsize and bool not in (stored, wanted):
            return f"{own}.view(np.{wanted.name})"
        if stored.itemsize > wanted.itemsize and stored.kind == "u" and wanted.kind in "ui":
            return f"{own}.astype(np.{wanted.name})"
        if stored.itemsize > wanted.itemsize and stored.kind == "u":
            return f"{own}.astype(np.uint{8 * wanted.itemsize}).view(np.{wanted.name})"
        raise Unknown(f"{self.instruction.place}: {name} read as {wanted}")

    def held(self, register: str):
        return held(self.kernel, register)

    def _immediate(self, text: str, kind) -> np.ndarray:
        if match := re.match(r"0[fF]([0-9a-fA-F]{8})$", text):
            return np.array([int(match[1], 16)], np.uint32).view(np.float32).astype(kind)
        if match := re.match(r"0[dD]([0-9a-fA-F]{16})$", text):
            return np.array([int(match[1], 16)], np.uint64).view(np.float64).astype(kind)
        if kind is np.bool_:
            return np.array([int(text, 0) != 0])
        if np.dtype(kind).kind == "f" and re.match(r"-?[\d.]+([eE][-+]?\d+)?$", text):
            return np.array([float(text)], kind)
        bits = 8 * np.dtype(kind).itemsize
        value = self.symbol(text) & ((1 << bits) - 1)
        return np.array([value], np.uint64).astype(f"u{bits // 8}").view(kind)

    def symbol(self, text: str) -> int:
        """The value of an integer, a variable's address, or a sum of these."""
        total = 0
        for word in re.findall(r"-?[\w$.]+", text.replace("+-", "-").replace("+", " ")):
            if re.match(r"-?\d", word):
                total += int(word.rstrip("U"), 0) if not re.match(r"-?0\d", word) else int(word, 8)
                continue
            for space in ("parameters", "shared", "local"):
                variable = getattr(self.kernel, space).get(word)
                if variable is not None:
                    dynamic = variable.size is None
                    total += self.kernel.static_shared if dynamic else variable.offset
                    break
            else:
                raise Unknown(f"{self.instruction.place}: operand {word}")
        return total

    def address(self, operand: str) -> str:
        """[register+offset], [symbol+offset] -> an expression."""
        inside = operand.strip("[] ")
        match = re.match(r"([%\w$']+)(?:\+?(-?\d+))?$", inside.replace(" ", ""))
        if match and match[1] in self.kernel.registers:
            base = self._register(match[1], self.held(match[1]))
            if not match[2] or int(match[2]) == 0:
                return base
            kind = np.dtype(self.held(match[1])).type
            bits = 8 * np.dtype(kind).itemsize
            return f"({base} + {self.constant(int(match[2]) & ((1 << bits) - 1), kind)})"
        return self.constant(self.symbol(inside), np.uint64)

    def write(self, operand: str, expression: str, type_: str) -> None:
        """Stores what has the kind of this type; into a wider register with its sign or zeros."""
        if operand == "_":
            return
        stored, given = np.dtype(self.held(operand)), np.dtype(KINDS[type_])
        if stored != given:
            if stored.itemsize == given.itemsize:
                expression = f"({expression}).view(np.{stored.name})"
            elif stored.itemsize > given.itemsize and stored.kind == "u":
                if given.kind == "f":
                    expression = f"({expression}).view(np.uint{8 * given.itemsize})"
                wide = f"np.{given.kind if given.kind == 'i' else 'u'}"
                wide = wide.replace("np.i", "np.int").replace("np.u", "np.uint")
                expression = f"({expression}).astype({wide}{8 * stored.itemsize})"
                expression += f".view(np.{stored.name})"
            else:
                raise Unknown(f"{self.instruction.place}: {given} into {operand}")
        own = self.variable(operand)
        if operand not in self.block.own and (self.masked or self.instruction.guard):
            if operand not in self.known:
                self.line(f"{own} = R[{self.program.places[operand]}]")
            expression = f"where({self.mask}, {expression}, {own})"
        self.line(f"{own} = {expression}")
        self.known.add(operand)
        self.changed[operand] = None
