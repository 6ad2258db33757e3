#include "recovery/workspace.h"

#include <cerrno>

#include "base/log.h"
#include "base/secret.h"
#include "store/local_store.h"

namespace holdfast::recovery {

namespace {

// Where the location was said.
std::string_view where_location_is(const StackConfig& stack) {
  return stack.repository_given ? "--repository (or $HOLDFAST_REPOSITORY)" : "repository.location";
}

std::string hint_for_no_repository(const StackConfig& stack) {
  return fmt::format("correct {}, or mount what it lies on; 'holdfast init' makes one where there never was any",
                     where_location_is(stack));
}

// It, or what it would lie in, is something else.
bool lies_in_no_directory(FileSystem& fs, const std::string& location) {
  std::string path = absolute_path(location);
  auto status = fs.stat(path);
  while (!status.ok() && path.size() > 1) status = fs.stat(path = parent_path(path));
  return status.ok() && !S_ISDIR(status->st_mode);
}

Result<std::unique_ptr<store::ObjectStore>> open_store(Machine& machine, const StackConfig& stack, bool must_exist) {
  const std::string& location = stack.repository;
  if (location.find("://") != std::string::npos) {
    return make_error(ErrorCode::kUnsupported, "this version keeps repositories in directories only, not at {}",
                      location)
        .with_hint(fmt::format("give {} as a path", where_location_is(stack)));
  }
  auto store = store::open_local_store(machine.fs, location, must_exist);
  if (store.ok()) return store;
  const bool absent = store.error().code() == ErrorCode::kNotFound;
  if (!absent && !(must_exist && lies_in_no_directory(machine.fs, location))) return store;
  return make_error(ErrorCode::kNoRepository, "there is no repository at {}{}", location,
                    absent ? "" : ": it is not a directory")
      .with_hint(hint_for_no_repository(stack));
}

Result<Secret> passphrase_of(const StackConfig& stack) {
  auto passphrase = resolve_secret(stack.passphrase);
  if (passphrase.ok()) return passphrase;
  Error error = std::move(passphrase).error().with_context("passphrase of the repository");
  if (!error.hint().empty()) return error;
  if (error.says(EACCES)) return std::move(error).with_hint("run it as the account to which the file belongs");
  return std::move(error).with_hint(fmt::format("without it nothing can be read: bring it back, or correct {}",
                                                stack.passphrase_given ? "--passphrase" : "repository.passphrase"));
}

// What the repository can't know: where things came from.
Error not_opened(Error error, const StackConfig& stack) {
  if (error.code() == ErrorCode::kNewerFormat)
    return std::move(error).with_context("the repository at " + stack.repository);
  if (error.code() == ErrorCode::kNoRepository) return std::move(error).with_hint(hint_for_no_repository(stack));
  if (error.code() != ErrorCode::kWrongPassphrase || !error.hint().empty()) return error;
  return std::move(error).with_hint(
      fmt::format("it came from {}: was it changed since, or is this another stack's repository?", stack.passphrase));
}

}  // namespace

Result<std::unique_ptr<Workspace>> Workspace::open(const StackConfig& stack, Machine machine) {
  return open(stack, machine, TRY(open_store(machine, stack, true)));
}

Result<std::unique_ptr<Workspace>> Workspace::open(const StackConfig& stack, Machine machine,
                                                   std::unique_ptr<store::ObjectStore> store) {
  std::unique_ptr<Workspace> workspace(new Workspace(stack, machine));
  workspace->store_ = std::move(store);
  workspace->environment_ =
      std::make_unique<repo::Environment>(repo::Environment{*workspace->store_, machine.clock, machine.random});
  const Secret passphrase = TRY(passphrase_of(stack));
  auto repository = repo::open_repository(*workspace->environment_, passphrase);
  if (!repository.ok()) return not_opened(std::move(repository).error(), stack);
  workspace->repository_ = std::move(repository).value();
  return workspace;
}

Result<std::unique_ptr<Workspace>> Workspace::create(const StackConfig& stack, Machine machine) {
  std::unique_ptr<Workspace> workspace(new Workspace(stack, machine));
  const Secret passphrase = TRY(passphrase_of(stack));
  workspace->store_ = TRY(open_store(machine, stack, false));
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
