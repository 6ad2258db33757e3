#pragma once

#include <string>
#include <vector>

#include "runbook/markdown/block.h"
#include "runbook/model.h"

namespace holdfast::runbook {

// What a code block is. Only the first three are steps of their own.
struct CodeReading {
  enum class Kind {
    kShell,
    kSql,
    kRepl,         // for a program that is named by the language: redis
    kComments,     // a shell block of comments alone: something for a person to do
    kProse,        // words between fences
    kOutput,       // what a command prints
    kSchedule,     // crontab lines
    kEnvironment,  // NAME=value lines
    kFile,         // a file: a script with #!, or data of a named language
  };
  Kind kind = Kind::kProse;
  bool announced = false;  // the lead says that this is output
  std::string language;
  std::vector<markdown::CodeLine> lines;   // without prompts and sample output
  std::vector<SourceRange> sample_output;  // lines that were taken out
  bool clear = true;                       // no line of it may be read in two ways
};

// `lead` is the prose before the block ("Example output:").
CodeReading read_code(const markdown::Block& block, const std::string& lead);

// Several blocks in one: "# 1. Check ...", "# 2. Restart ...". One part when it is not so cut.
struct CodePart {
  std::string number;  // "1", "3a"
  Text title;
  std::vector<markdown::CodeLine> lines;
};
std::vector<CodePart> split_numbered(const std::vector<markdown::CodeLine>& lines);

}  // namespace holdfast::runbook
