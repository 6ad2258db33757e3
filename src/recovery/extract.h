#pragma once

#include <string>

#include "recovery/restore.h"
#include "source/postgres/extract.h"

namespace holdfast::recovery {

// One database, or tables of one, of a PostgreSQL component into a running server.
struct ExtractRequest {
  RestoreRequest instant;            // component (none: the stack's only PostgreSQL), point and target
  postgres::ExtractOptions options;  // places and programs are filled in from the stack
  std::string server;                // connection string of the server; "" : the component's own
};

struct ExtractPlan {
  Time now;
  ComponentPlan source;  // `to` means nothing
};

// Chooses the point and proves the instant reachable, then asks the live server whether
// it would take what is asked for. Writes nothing.
Result<ExtractPlan> plan_extract(Workspace& workspace, ExtractRequest& request);

// Carries it out; with options.look_only it looks and changes nothing.
Result<postgres::ExtractReport> carry_out(Workspace& workspace, const ExtractRequest& request, const ExtractPlan& plan);

}  // namespace holdfast::recovery
