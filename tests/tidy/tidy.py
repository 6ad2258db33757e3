#!/usr/bin/env python3
"""The house rules that a program can check, on every file that git tracks.

    tidy.py RULE      one of the functions below whose name begins with check_
"""
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 700
FUNCTION_LINES_MAX = 70
CODE = (".h", ".cc")


def tracked_files():
    """Tracked files; from an archive without git, all files outside of build folders."""
    try:
        listing = subprocess.run(
            ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True
        ).stdout.decode()
        names = [name for name in listing.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        skipped = {".git", ".cache", "run", "build", "build-dev", "build-fuzz", "build-asan", "build-tsan"}
        names = [
            path.relative_to(ROOT).as_posix()
            for path in ROOT.rglob("*")
            if path.is_file() and path.relative_to(ROOT).parts[0] not in skipped
        ]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def code_files():
    return [path for path in tracked_files() if path.suffix in CODE]


def text_files():
    for path in tracked_files():
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue


def at(path, number):
    return f"{path.relative_to(ROOT)}:{number}"


def blank_literals(text):
    """The same text with strings, characters and comments blanked out, lines kept."""
    pattern = re.compile(
        r'R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|//[^\n]*|/\*.*?\*/', re.DOTALL
    )
    digits = re.compile(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])")
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), digits.sub("_", text))


def functions(text):
    """(first line, last line, head) of each function body at namespace or class level."""
    stack, head, line, head_line, found = [], "", 1, 1, []
    for character in blank_literals(text):
        if character == "\n":
            line += 1
        if character == "{":
            inside = any(kind == "function" for kind, _, _ in stack)
            outer = re.search(r"\b(namespace|class|struct|union|enum|extern)\b", head) and not head.rstrip().endswith(")")
            is_function = not inside and not outer and "(" in head
            stack.append(("function" if is_function else "block", head_line, head.strip()))
            head = ""
        elif character == "}":
            if stack:
                kind, first, words = stack.pop()
                if kind == "function":
                    found.append((first, line, " ".join(words.split())[:80]))
            head = ""
        elif character == ";":
            head = ""
        else:
            if not head.strip():
                head_line = line
            head += character
    return found


def check_file_length():
    return [
        f"{path.relative_to(ROOT)}: {lines} lines, more than {FILE_LINES_MAX}; one noun per file"
        for path in code_files()
        if (lines := path.read_text().count("\n")) > FILE_LINES_MAX
    ]


def check_function_length():
    problems = []
    for path in code_files():
        for first, last, head in functions(path.read_text()):
            if last - first + 1 > FUNCTION_LINES_MAX:
                problems.append(f"{at(path, first)}: {last - first + 1} lines, more than {FUNCTION_LINES_MAX}: {head}")
    return problems


def check_pragma_once():
    return [
        f"{path.relative_to(ROOT)}: has no #pragma once"
        for path in code_files()
        if path.suffix == ".h" and "#pragma once\n" not in path.read_text()
    ]


def check_sleeps():
    """Tests wait for a condition, with a deadline; only the one waiting helper pauses, and
    the load that a demonstration makes."""
    problems = []
    excused = ("tests/servers/wait.h", "tests/servers/ledger_writer.cc")
    pattern = re.compile(r"(?<!\.)\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\(")
    for path in code_files():
        name = path.relative_to(ROOT).as_posix()
        if not (name.startswith("tests/") or name.endswith("_test.cc")) or name in excused:
            continue
        for number, line in enumerate(blank_literals(path.read_text()).splitlines(), 1):
            if pattern.search(line) and "override" not in line and "virtual" not in line:
                problems.append(f"{at(path, number)}: sleeps; wait for a condition with a deadline")
    return problems


def check_try_in_new():
    """`new X(TRY(...))` has allocated before TRY returns the error, and nobody frees it."""
    pattern = re.compile(r"\bnew\s+[\w:]+(<[^;()]*>)?\s*[({][^;]*?\bTRY(_CONTEXT)?\(")
    problems = []
    for path in code_files():
        text = blank_literals(path.read_text())
        for found in pattern.finditer(text):
            problems.append(f"{at(path, text.count(chr(10), 0, found.start()) + 1)}: TRY within new; try before it")
    return problems


def check_todos():
    """Work that is left is an issue with a number, or it is done."""
    pattern = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")
    this = Path(__file__).resolve()
    return [
        f"{at(path, number)}: a task without the number of its issue"
        for path, text in text_files()
        if path.resolve() != this and path.suffix != ".md"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def check_commented_code():
    pattern = re.compile(r"^\s*//.*(;|\{|\breturn\b.*;)\s*$")
    excused = re.compile(r"[.,:] |e\.g\.|for example", re.IGNORECASE)
    problems = []
    for path in code_files():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            words = line.strip().lstrip("/").strip()
            looks_like_code = re.match(r"^(if|for|while|return|auto|const|int|TRY|std::)\b.*[;{]$|^[a-z_:.>-]+\(.*\);$", words)
            if pattern.match(line) and looks_like_code and not excused.search(line):
                problems.append(f"{at(path, number)}: code in a comment: {words}")
    return problems


def check_generated_files():
    pattern = re.compile(
        r"(^|/)(build|build-[^/]*|run|\.cache|node_modules|__pycache__)/|\.(o|a|so|pyc|orig|rej|swp)$|compile_commands\.json$"
    )
    return [
        f"{name}: made by a program, yet tracked"
        for path in tracked_files()
        if pattern.search(name := path.relative_to(ROOT).as_posix())
    ]


def check_host_paths():
    """Nothing may depend on the machine or the account of whoever wrote it."""
    pattern = re.compile(r"/home/[a-z]|/Users/[A-Za-z]|/root/")
    this = Path(__file__).resolve()
    others = ROOT / "tests/runbook/golden"  # what other people's runbooks say
    return [
        f"{at(path, number)}: a path of somebody's machine"
        for path, text in text_files()
        if path.resolve() != this and others not in path.parents
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def check_words():
    """One word per idea: what the glossary calls a recovery point is no 'backup set'."""
    pattern = re.compile(r"\b(backup set|backup sets|restore point id|snapshot set)\b", re.IGNORECASE)
    this = Path(__file__).resolve()
    return [
        f"{at(path, number)}: say 'recovery point'"
        for path, text in text_files()
        if path.resolve() != this
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_names():
    """The tests that there are: of GoogleTest, of unittest (methods and classes), of CTest."""
    of_code, of_python, of_ctest = set(), set(), []
    for path in code_files():
        for suite, name in re.findall(r"^\s*(?:TEST|TEST_F|TEST_P|TYPED_TEST)\(\s*(\w+),\s*(\w+)\)", path.read_text(), re.MULTILINE):
            of_code.add(f"{suite}.{name}")
    for path in tracked_files():
        if path.suffix == ".py":
            of_python.update(re.findall(r"^\s*(?:def (test_\w+)\(|class (\w+)\()", path.read_text(), re.MULTILINE))
        if path.name == "CMakeLists.txt" or path.suffix == ".cmake":
            of_ctest += ctest_names(path.read_text())
    return of_code, {name for pair in of_python for name in pair if name}, of_ctest


def ctest_names(text):
    """What add_test() is given. A variable stands for the words of its foreach(), or for any ("*")."""
    words = {name: values.split() for name, values in re.findall(r"foreach\((\w+)\s([^)$]+)\)", text)}
    names = []
    for name in re.findall(r"add_test\(NAME\s+([^\s)]+)", text):
        variable = re.search(r"\$\{(\w+)\}", name)
        values = words.get(variable.group(1), ["*"]) if variable else [""]
        names += [name.replace(variable.group(0), value) if variable else name for value in values]
    return names


def as_pattern(name):
    return re.compile(re.escape(name).replace(r"\*", r"[\w.]*") + "$")


def promised(line):
    """The names in a row of docs/safety.md: of GoogleTest, of Python, of CTest, of files."""
    of_code = [name for name in re.findall(r"`([A-Z]\w*\.[\w*]+)`", line) if name != "Suite.Test"]
    of_python = re.findall(r"`(test_[\w*]+)`", line)
    shown_by = line.rsplit(" | ", 1)[-1].replace("\\", "")
    of_ctest = [
        name
        for words in re.findall(r"\(([a-z][\w.*, ]*)\)", shown_by)
        for name in words.split(", ")
        if re.fullmatch(r"[a-z]+(\.[\w.*]+)?", name)
    ]
    return of_code, of_python, of_ctest, re.findall(r"`(tests/[\w./]+)`", line)


def check_promises():
    """docs/safety.md names tests that exist, and every row of its tables names one."""
    of_code, of_python, of_ctest = test_names()
    problems = []
    document = ROOT / "docs/safety.md"
    for number, line in enumerate(document.read_text().splitlines(), 1):
        code, python, ctest, files = promised(line)
        missing = [name for name in code if not any(map(as_pattern(name).match, of_code))]
        missing += [name for name in python if not any(map(as_pattern(name).match, of_python))]
        missing += [name for name in files if not (ROOT / name).exists()]
        for name in ctest if line.startswith("|") else []:
            # As ctest -R takes it: a family by what its names begin with.
            family = name.rstrip("*").rstrip(".") + "."
            if not any(fnmatchcase(name, known) or known.startswith(family) for known in of_ctest):
                missing.append(name)
        problems += [f"{at(document, number)}: there is no test {name}" for name in missing]
        is_row = line.startswith("| ") and not line.endswith("| shown by |")
        if is_row and not (code or python or files or re.search(r"`?(fuzz|drill)\.\w*|the same test", line)):
            problems.append(f"{at(document, number)}: names no test")
    return problems


def check_selftest():
    """The function finder itself, on what has misled such finders before."""
    text = "namespace a {\nstruct S {\n  int f() const { return 1; }\n};\n"
    text += 'Result<void> g(\n    int x) {\n  auto s = "}{";  // }\n  if (x) {\n    h();\n  }\n}\n'
    text += "int k = 1'000;\nvoid last() {}\n}\n"
    found = [(first, last) for first, last, _ in functions(text)]
    expected = [(3, 3), (5, 11), (13, 13)]
    problems = [] if found == expected else [f"functions() found {found}, expected {expected}"]
    names = ctest_names('foreach(each a b)\n  add_test(NAME x.${each} COMMAND y)\nendforeach()\nadd_test(NAME z.${n})')
    if names != ["x.a", "x.b", "z.*"]:
        problems.append(f"ctest_names() found {names}")
    row = promised(r"| nothing (or all) is lost | `A.B*` (unit.x\_y, wal), `test_z` (exit status) |")
    if row != (["A.B*"], ["test_z"], ["unit.x_y", "wal"], []):
        problems.append(f"promised() found {row}")
    return problems


def main():
    checks = {name[6:]: check for name, check in globals().items() if name.startswith("check_")}
    if len(sys.argv) != 2 or sys.argv[1] not in checks:
        print(__doc__ + "\nrules: " + " ".join(sorted(checks)), file=sys.stderr)
        return 2
    problems = checks[sys.argv[1]]()
    print("\n".join(problems) or f"tidy, {sys.argv[1]}: as it should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
