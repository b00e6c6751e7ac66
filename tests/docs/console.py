"""The console blocks of a page, run as an operator would type them."""

import re
import subprocess
from dataclasses import dataclass
from textwrap import dedent

BLOCK = re.compile(r"^( *)```console\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
ANY = "…"
ANY_LINES = r"(?:.*\n)*?"


@dataclass(frozen=True)
class Typed:
    """A command of a page, and the lines below it."""

    command: str
    printed: tuple[str, ...]


def commands(text):
    """Return the commands of a page in their order. A here-document and a line that ends in a backslash belong to theirs."""
    found = []
    for _indent, block in BLOCK.findall(text):
        lines = iter(dedent(block).splitlines())
        command: list[str] = []
        printed: list[str] = []
        for line in lines:
            if line.startswith("$ "):
                if command:
                    found.append(Typed("\n".join(command), tuple(printed)))
                command, printed = [line[2:]], []
                here = re.search(r"<<'?(\w+)'?", line)
                while (here and command[-1] != here[1]) or command[-1].endswith("\\"):
                    command.append(next(lines))
            else:
                printed.append(line)
        found.append(Typed("\n".join(command), tuple(printed)))
    return found


def matches(expected, output):
    """Whether the lines of a page are those that were printed: `…` is any text, alone on a line any lines."""
    lines = (ANY_LINES if line == ANY else ".*".join(map(re.escape, line.split(ANY))) + r" *\n" for line in expected)
    whole = output if output.endswith("\n") else f"{output}\n"
    return re.fullmatch("".join(lines), whole) is not None


def run(typed, *, cwd, env):
    """Run commands in one shell, one after the other. Return what each printed; the first failure raises."""
    mark = "@@ the end of a command @@"
    # each command has the answer to its question; a program that reads a script has it from a redirection of its own
    script = "\n".join(f"{{ {one.command}\n}} <<< yes\nprintf '%s\\n' '{mark}'" for one in typed)
    shell = ["bash", "-ec", f"exec 2>&1\n{script}"]
    done = subprocess.run(shell, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=900)
    outputs = done.stdout.split(f"{mark}\n")
    assert done.returncode == 0, f"$ {typed[len(outputs) - 1].command}\n{outputs[-1]}"
    return outputs[: len(typed)]
