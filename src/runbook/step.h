#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "runbook/markdown/source_range.h"
#include "runbook/shell/syntax.h"

namespace holdfast::runbook {

// How long something may take or takes, as a heading says it in parentheses.
// A window is measured from the beginning of the scenario: "(15-45 minutes)" after
// "(0-15 minutes)". A duration is measured from the step's own beginning.
struct Budget {
  enum class Kind { kWindow, kDuration };
  Kind kind = Kind::kDuration;
  Duration least;                // where a window opens; the lower end of a duration
  std::optional<Duration> most;  // where it closes; none: "15+ minutes"
  Text text;                     // "0-15 minutes"
};

// What to do on `resume` with a step of which nobody knows whether it ended.
enum class OnCrash { kAsk, kRetry, kSkip, kFail, kProbe };

// What annotations say of a step; docs/runbook.md is the reference. An empty
// string or optional: not said.
struct Annotations {
  std::string id;
  std::optional<Duration> timeout;
  std::string verify;  // a shell command that succeeds when the step has worked
  std::optional<OnCrash> on_crash;
  std::string approve;  // who has to agree before it runs: "dba", "anyone"
  bool drill_skip = false;
  int retries = 0;
  std::string parallel;    // steps in a row of one group run at the same time
  std::string compensate;  // a shell command that undoes it, when a later step fails and a person agrees
  std::map<std::string, std::string> env;
  std::string target;     // a shell command that succeeds where a step that destroys may do so
  std::string fence;      // a shell command that succeeds when the old primary can't come back
  std::string component;  // of the stack: where SQL goes, whose recovery point is meant
  std::string workdir;
  std::optional<bool> destructive;  // overrides what the commands seem to do
  std::optional<bool> interactive;
  bool manual = false;  // a person does it: its commands are shown, never run
  bool optional = false;
  std::string when;  // a shell command: the step is skipped unless it succeeds
  SourceRange range;
};

enum class HazardKind {
  kDestroys,         // data, or the only evidence of what happened
  kIrreversible,     // no command brings back what was
  kStopsService,     // users notice
  kSwitchesTraffic,  // DNS, load balancers
  kPromotes,         // makes a standby the primary
  kRotatesSecret,
  kWritesData,     // restores into, or changes, a store of data: over what is there
  kRestoresAside,  // makes a new store of a copy; what is there stays
  kInteractive,    // opens a prompt, an editor, a terminal
  kNeverEnds,      // follows a log, watches, forwards a port
  kNeedsSecret,
  kRemote,  // runs on another machine or in a container
};

struct Hazard {
  HazardKind kind;
  std::string reason;  // "docker volume rm deletes the volume claude-manager_postgres_data"
  SourceRange range;
};

struct VariableUse {
  std::string name;
  bool has_default = false;  // unset is provided for
  SourceRange range;
  bool sourced = false;  // a file that the step reads before may set it
};

// Something that the author left for the reader to fill in: <backup_id>, [Name], YOUR_ZONE_ID, {env}, xxx, TBD.
struct Placeholder {
  std::string text;  // as written: "<backup_id>"
  std::string name;  // "backup_id"
  SourceRange range;
};

// A step's text is cut into pieces where comments or blank lines part it, where the
// author offers alternatives ("# or"), and where text is meant for a program that
// the line before has opened.
struct Piece {
  enum class Kind { kCommands, kInput };
  Kind kind = Kind::kCommands;
  std::string title;  // the comment above it
  std::string text;
  std::string program;  // kInput: the command line that reads it ("redis-cli -h $REDIS_HOST")
  SourceRange range;
  // 0: always. Otherwise one of the pieces' alternatives of this group is chosen;
  // `alternative` counts from 1. An alternative may have several pieces.
  int group = 0;
  int alternative = 0;
};

enum class StepKind { kShell, kSql, kRepl, kManual };

// One command block or one manual action.
struct Step {
  std::string id;      // unique within its procedure; from the annotation, or made of the title
  std::string number;  // as in the document: "3", "3a"; "" when there is none
  StepKind kind = StepKind::kManual;
  Text title;
  std::string prose;          // what the document says around the block
  std::vector<Text> details;  // bullets below it
  std::string language;       // info string's first word
  std::string text;           // of the block: prompts and sample output removed
  std::string condition;      // "if capacity issue"
  SourceRange range;          // of the block; of the item, for a manual step
  std::optional<Budget> budget;
  Annotations annotations;
  size_t phase = 0;              // index into Procedure::phases
  std::optional<size_t> option;  // index into Procedure::options: it runs only when that is chosen
  std::vector<Piece> pieces;
  shell::Script script;                // of `text`, for kShell and kRepl
  std::vector<SourceRange> lines;      // of each line of `text`, where it stands
  std::vector<size_t> line_offsets;    // of each line, where in `text` it begins
  std::vector<VariableUse> variables;  // used and not assigned earlier in the same step
  std::vector<std::string> assigned;   // names that it sets
  std::vector<Placeholder> placeholders;
  std::vector<Hazard> hazards;
  bool unclear = false;  // a line may be read in two ways: as a command, or as input of the prompt above it
  std::vector<SourceRange> sample_output;  // lines of the block that are no commands

  bool has(HazardKind kind_asked) const;
  bool destructive() const;
  bool interactive() const;
  // How many alternatives there are for each group of pieces: [0] is unused.
  std::vector<int> alternatives() const;
  // Where a span of `text` stands in the document.
  SourceRange where(shell::Span span) const;
};

}  // namespace holdfast::runbook
