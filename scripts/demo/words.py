"""What a person sees."""
import sys
import time


def size(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit in ("B", "KiB") else f"{count:.1f} {unit}"
        count /= 1024


def duration(seconds):
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


class Words:
    """Numbered steps, each with what came of it and how long it took."""

    def __init__(self):
        self.number = 0
        self.began = time.monotonic()

    def step(self, what):
        self.number += 1
        self.began = time.monotonic()
        print(f"{self.number:2}. {what}", flush=True)

    def done(self, outcome):
        print(f"    {outcome} ({duration(time.monotonic() - self.began)})", flush=True)


def table(head, rows):
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for number, row in enumerate(cells):
        line = row[0].ljust(widths[0]) + "".join("   " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))
        print(line.rstrip())
        if number == 0:
            print("-" * (sum(widths) + 3 * (len(widths) - 1)))
    sys.stdout.flush()
