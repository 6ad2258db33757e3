#include "recovery/workspace.h"

#include "base/log.h"
#include "base/secret.h"
#include "store/local_store.h"

namespace holdfast::recovery {

namespace {

Result<std::unique_ptr<store::ObjectStore>> open_store(Machine& machine, const std::string& location, bool must_exist) {
  if (location.find("://") != std::string::npos) {
    return make_error(ErrorCode::kUnsupported, "this version keeps repositories in directories only, not at {}",
                      location)
        .with_hint("give repository.location as a path");
  }
  auto store = store::open_local_store(machine.fs, location, must_exist);
  if (!store.ok() && store.error().code() == ErrorCode::kNotFound) {
    return make_error(ErrorCode::kNoRepository, "there is no repository at {}", location)
        .with_hint("run 'holdfast init' to create it, or correct repository.location");
  }
  return store;
}

}  // namespace

Result<std::unique_ptr<Workspace>> Workspace::open(const StackConfig& stack, Machine machine) {
  std::unique_ptr<Workspace> workspace(new Workspace(stack, machine));
  workspace->store_ = TRY(open_store(machine, stack.repository, true));
  workspace->environment_ =
      std::make_unique<repo::Environment>(repo::Environment{*workspace->store_, machine.clock, machine.random});
  const Secret passphrase = TRY_CONTEXT(resolve_secret(stack.passphrase), "passphrase of the repository");
  workspace->repository_ = TRY(repo::open_repository(*workspace->environment_, passphrase));
  return workspace;
}

Result<std::unique_ptr<Workspace>> Workspace::create(const StackConfig& stack, Machine machine) {
  std::unique_ptr<Workspace> workspace(new Workspace(stack, machine));
  const Secret passphrase = TRY_CONTEXT(resolve_secret(stack.passphrase), "passphrase of the repository");
  workspace->store_ = TRY(open_store(machine, stack.repository, false));
  workspace->environment_ =
      std::make_unique<repo::Environment>(repo::Environment{*workspace->store_, machine.clock, machine.random});
  workspace->repository_ = TRY(repo::init_repository(*workspace->environment_, passphrase));
  return workspace;
}

Result<void> Workspace::hold_for_reading(const std::string& purpose) {
  if (lease_) return {};
  auto lease = repo::Lease::take(*environment_, {.kind = repo::LeaseKind::kReader, .purpose = purpose});
  if (lease.ok()) {
    lease_ = std::move(lease).value();
    return {};
  }
  const ErrorCode code = lease.error().code();
  if (code != ErrorCode::kPermission && code != ErrorCode::kNoSpace) return std::move(lease).error();
  log_warn("recovery.reading_without_lease", {{"error", lease.error().text()}});
  return {};
}

}  // namespace holdfast::recovery
