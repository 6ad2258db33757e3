#pragma once

#include <string>

#include "recovery/redis_component.h"
#include "recovery/restore.h"
#include "recovery/verify.h"
#include "recovery/workspace.h"
#include "source/redis/command_log.h"
#include "source/redis/load.h"
#include "source/redis/materialise.h"

namespace holdfast::recovery {

// The server that --into names, with its password. kConfig for a malformed address.
Result<redis::Connection> into_server(Workspace& workspace, const RestoreRequest& request,
                                      const std::string& component);

// Asks whether the component's target could be written, or its server loaded; adds notes.
Result<void> rehearse_redis(Workspace& workspace, const RestoreRequest& request, ComponentPlan& plan,
                            Progress& progress);
Result<ComponentRestored> restore_redis(Workspace& workspace, const RestoreRequest& request, const ComponentPlan& plan);
Result<source::VerifyReport> verify_redis(Workspace& workspace, const VerifyRequest& request,
                                          const repo::Snapshot& snapshot);

}  // namespace holdfast::recovery
