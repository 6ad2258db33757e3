#pragma once

#include <string>
#include <vector>

#include "runbook/model.h"
#include "runbook/shell/invocation.h"

namespace holdfast::runbook {

// What a command contributes to a recovery: for questions about the order of steps.
enum class Act {
  kValidatesCopy,  // proves that a copy is whole
  kTakesCopy,      // dumps, snapshots, moves the old data aside
  kRestores,
  kRestoresByHand,  // a person is told to, in words
  kDestroys,
  kSwitchesTraffic,
  kPromotes,
  kFences,     // makes sure that the old primary can't write
  kChecksLag,  // looks how far a replica is behind
  kStopsWriters,
  kStartsService,
  kVerifies,  // looks whether what was done has worked
};

struct Done {
  Act act;
  size_t step = 0;  // index into Procedure::steps
  SourceRange range;
  std::string what;  // the command, shortened
};

std::vector<Act> acts_of(const shell::Invocation& invocation);
// A command line of a schedule makes copies: by its program, or by the name of a script that
// neither checks nor cleans.
bool makes_copies(const std::string& command_line);
// Of all commands of a procedure's steps, in the order of the document.
std::vector<Done> acts_of(const Procedure& procedure);

// A hazard of the order of steps.
struct OrderHazard {
  std::string rule;  // of lint
  std::string sentence;
  SourceRange range;
  size_t step = 0;
};
std::vector<OrderHazard> order_hazards(const Procedure& procedure);

// At most `limit_bytes` of a command's first line.
std::string shortened(std::string_view text, size_t limit_bytes = 60);

}  // namespace holdfast::runbook
