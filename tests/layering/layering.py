#!/usr/bin/env python3
"""Dependencies between rooms run downward only.

The order of rooms stands here once more, on purpose: a room that is moved or
that gains a dependency in CMakeLists.txt must be changed in both places.

    layering.py order      rooms are declared lowest first and name lower ones only
    layering.py includes   every quoted include resolves, within a room that is named
    layering.py links      no room is given libraries behind the back of holdfast_room()
    layering.py readme     each room has an essay
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

# Lowest first; rooms of one group know nothing of each other.
ORDER = [
    {"base"},
    {"crypto"},
    {"store"},
    {"repo"},
    {"source"},
    {"source/files", "source/postgres", "source/redis"},
    {"recovery"},
    {"runbook/shell", "runbook/markdown"},
    {"runbook"},
    {"runbook/lint", "engine"},
    {"cli"},
]
LEVEL = {room: level for level, group in enumerate(ORDER) for room in group}


def declared_rooms():
    """Path of each room, in order of declaration, with the rooms that it names."""
    text = (ROOT / "CMakeLists.txt").read_text()
    rooms = {}
    for arguments in re.findall(r"^holdfast_room\(([^)]*)\)", text, re.MULTILINE):
        words = arguments.split()
        lower, section = [], None
        for word in words[1:]:
            if word in ("ROOMS", "LIBS", "PRIVATE_LIBS"):
                section = word
            elif section == "ROOMS":
                lower.append(word)
        rooms[words[0]] = lower
    return rooms


def room_of(path):
    folder = path.parent.relative_to(SRC).as_posix()
    return folder if folder in LEVEL else None


def check_order():
    problems = []
    rooms = declared_rooms()
    for room in LEVEL:
        if room not in rooms:
            problems.append(f"CMakeLists.txt: room {room} is not declared")
    for room, lower_rooms in rooms.items():
        if room not in LEVEL:
            problems.append(f"CMakeLists.txt: room {room} has no place in the order")
            continue
        for lower in lower_rooms:
            if LEVEL.get(lower, 99) >= LEVEL[room]:
                problems.append(f"CMakeLists.txt: room {room} names {lower}, which is not below it")
    return problems


def check_includes():
    problems = []
    rooms = declared_rooms()
    for path in sorted(SRC.rglob("*")):
        if path.suffix not in (".h", ".cc") or path.parent == SRC:
            continue
        room = room_of(path)
        name = path.relative_to(ROOT)
        if room is None:
            problems.append(f"{name}: lies in no room")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            target = SRC / match.group(1)
            if not target.is_file():
                problems.append(f"{name}:{number}: {match.group(1)} is not a file below src")
                continue
            other = room_of(target)
            # What only tests use may come from any room below.
            is_test = path.stem.startswith("test_") or path.stem.endswith("_test")
            if is_test and LEVEL.get(other, 99) < LEVEL[room]:
                continue
            if other != room and other not in rooms[room]:
                problems.append(f"{name}:{number}: room {room} may not include from room {other}")
    return problems


def check_links():
    """target_link_libraries is called by holdfast_room() alone, for rooms."""
    problems = []
    for path in [ROOT / "CMakeLists.txt", *SRC.rglob("CMakeLists.txt")]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"target_(link_libraries|include_directories)\(\s*room_", line):
                problems.append(f"{path.relative_to(ROOT)}:{number}: a room's libraries are named in holdfast_room() only")
    return problems


def check_readme():
    return [f"src/{room}: has no README.md" for room in LEVEL if not (SRC / room / "README.md").is_file()]


def main():
    checks = {"order": check_order, "includes": check_includes, "links": check_links, "readme": check_readme}
    if len(sys.argv) != 2 or sys.argv[1] not in checks:
        print(__doc__, file=sys.stderr)
        return 2
    problems = checks[sys.argv[1]]()
    print("\n".join(problems) or f"layering, {sys.argv[1]}: as it should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
