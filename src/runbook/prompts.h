#pragma once

#include <string_view>
#include <vector>

#include "runbook/markdown/block.h"

namespace holdfast::runbook {

// Blocks that show what was typed, behind prompts, and what was printed: "$ ls", "user@host:~$ ls",
// "[user@host dir]# ls", "(env) $ ls".

// The block is such a one: its first command has a prompt. In a `console`, which is one by its language,
// what was printed may stand in front.
bool has_prompts(const std::vector<markdown::CodeLine>& lines, bool console);

// Takes the commands out, without their prompts, to `commands`; comments and blank lines stay. A prompt counts
// where the shell's grammar begins a command: not within a here-document or a quoted text. What is printed goes
// to `output`. The shell's "> " in front of a line that goes on with a command is taken off, too. False where a line
// may be read in two ways: "> x" as "x" or as a redirection, "# x" as a comment or as typed by root.
bool take_prompts_off(const std::vector<markdown::CodeLine>& lines, bool console,
                      std::vector<markdown::CodeLine>& commands, std::vector<SourceRange>& output);

}  // namespace holdfast::runbook
