"""Checks `kiln help` against the library as it stands in its files: it lists every definition with a `///` comment once and no other, explains
each where it is, and keeps to the width it is told. Only functions may be without such a comment, and then no example uses them.

usage: check_help.py ROOT      with kiln in PATH
"""
import pathlib
import re
import subprocess
import sys

DEFINITION = re.compile(r"^(fn|layer|op|optimizer|schedule|augment|reader|primitive|const) (\w+)")


def kiln_help(*arguments):
    return subprocess.run(["kiln", "help", *arguments], check=True, capture_output=True, text=True).stdout.splitlines()


def main(root):
    places, kinds, offered, kept, examples = {}, {}, [], [], set()
    for path in sorted((root / "stdlib").rglob("*.model")):
        before = ""
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if match := DEFINITION.match(line):
                kind, name = match.groups()
                places[name], kinds[name] = f"{path.relative_to(root)}:{number}", kind
                (offered if before.startswith("///") else kept).append(name)
            if line.startswith(("//!     ", "///     ")):
                examples.add(line[3:].strip())  # they keep their lines
            before = line
    problems = [f"{name}: a {kinds[name]} without a /// comment" for name in kept if kinds[name] != "fn"]

    listed = [match[1] for line in kiln_help("library") if (match := re.match(r"  (\w+)(?:\(| = )", line))]
    problems += [f"{name}: not listed" for name in set(offered) - set(listed)] + [f"{name}: listed" for name in set(listed) - set(offered)]
    if len(listed) != len(set(listed)):
        problems.append("a name is listed twice")

    explained = kiln_help(*offered)
    for name in offered:
        if not any(line.startswith(f"{kinds[name]} {name}") for line in explained) or places[name] not in explained:
            problems.append(f"{name}: not explained with its place, {places[name]}")

    for columns in 80, 100:
        for topic in ["library"], ["layers"], offered:
            for line in kiln_help("--columns", str(columns), *topic):
                if len(line) > columns and " " in line.strip() and line.strip() not in examples:
                    problems.append(f"{columns} columns: {line}")

    used = set(re.findall(r"\w+", " ".join(re.sub(r"//.*", "", path.read_text()) for path in (root / "examples").rglob("*.model"))))
    problems += [f"{name}: used by an example, but without a /// comment" for name in kept if name in used]
    print("\n".join(problems) or f"{len(offered)} definitions, and {len(kept)} that the library keeps to itself")
    return 1 if problems or not kept or len(offered) < 100 else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
