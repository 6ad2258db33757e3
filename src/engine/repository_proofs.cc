#include "engine/repository_proofs.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <future>
#include <thread>

#include "recovery/cluster.h"
#include "recovery/points.h"
#include "recovery/restore.h"
#include "recovery/verify.h"
#include "source/postgres/connection.h"

namespace holdfast::engine {
namespace {

constexpr std::chrono::milliseconds kLook{250};
constexpr const char* kLagQuery =
    "SELECT pg_is_in_recovery(), "
    "extract(epoch FROM now() - pg_last_xact_replay_timestamp())::bigint, "
    "pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())";

template <typename Number>
Result<Number> number_of(const char* option, const std::string& text) {
  Number number{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure == std::errc() && end == text.data() + text.size()) return number;
  return make_error(ErrorCode::kUsage, "{} {} is no number", option, text);
}

// As `holdfast restore` reads these words.
Result<recovery::RestoreRequest> request_of(const WantedPoint& wanted, Time now) {
  recovery::RestoreRequest request;
  // A place in the log of PostgreSQL is an instant to all others: they need it in the plan.
  const bool is_place = !wanted.lsn.empty() || !wanted.xid.empty() || !wanted.restore_point.empty();
  if (!is_place) request.components = wanted.components;
  if (!wanted.point.empty()) request.point = wanted.point;
  source::RestoreTarget& target = request.target;
  if (wanted.at == "latest") {
    request.newest = true;
  } else if (!wanted.at.empty()) {
    target.time = TRY(parse_time(wanted.at, now));
  }
  if (!wanted.lsn.empty()) target.lsn = wanted.lsn;
  if (!wanted.xid.empty()) target.xid = TRY(number_of<uint64_t>("--xid", wanted.xid));
  if (!wanted.restore_point.empty()) target.name = wanted.restore_point;
  if (!wanted.timeline.empty()) target.timeline = TRY(number_of<uint32_t>("--timeline", wanted.timeline));
  target.immediate = wanted.immediate;
  target.inclusive = !wanted.exclusive;
  return request;
}

}  // namespace

Result<recovery::RestorePlan> plan_restore(recovery::Workspace& workspace, const WantedPoint& wanted) {
  const std::vector<std::string>& components = wanted.components;
  const recovery::RestoreRequest request = TRY(request_of(wanted, workspace.machine().clock.now()));
  recovery::RestorePlan plan = TRY(recovery::plan_restore(workspace, request));
  std::erase_if(plan.components, [&](const recovery::ComponentPlan& each) {
    return !components.empty() && std::find(components.begin(), components.end(), each.component) == components.end();
  });
  if (plan.components.empty()) {
    return make_error(ErrorCode::kNotFound, "there is no recovery point{}{}", components.empty() ? "" : " of ",
                      fmt::join(components, ", "));
  }
  return plan;
}

std::string RepositoryProofs::host() const {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

Result<ProvenPoint> RepositoryProofs::prove_point(const WantedPoint& wanted, const std::function<bool()>& go_on) {
  std::promise<Result<ProvenPoint>> promise;
  std::future<Result<ProvenPoint>> outcome = promise.get_future();
  std::jthread reader([&] { promise.set_value(read_point(wanted)); });
  while (outcome.wait_for(kLook) != std::future_status::ready) {
    if (!go_on()) progress_.stop = true;
  }
  Result<ProvenPoint> proven = outcome.get();
  if (proven.ok()) repository_ = proven->repository;
  return proven;
}

Result<std::string> RepositoryProofs::repository() {
  if (repository_.empty()) repository_ = TRY(open_())->repository().id();
  return repository_;
}

Result<ProvenPoint> RepositoryProofs::read_point(const WantedPoint& wanted) {
  const std::vector<std::string>& components = wanted.components;
  auto workspace = TRY(open_());
  TRY(workspace->hold_for_reading("a runbook"));
  // Complete: a restore of these components to that instant can be planned, which reads
  // the WAL on the way there.
  const recovery::RestorePlan plan = TRY(plan_restore(*workspace, wanted));
  ProvenPoint proven;
  proven.repository = workspace->repository().id();
  proven.instant = plan.components.front().instant;
  // Readable: each point that the plan draws on.
  std::vector<std::string> points;
  for (const recovery::ComponentPlan& component : plan.components) {
    proven.components.push_back(component.component);
    proven.instant = std::min(proven.instant, component.instant);
    const std::string id = component.point.hex();
    TRY(read_whole(*workspace, id, component.component));
    if (std::find(points.begin(), points.end(), id) == points.end()) points.push_back(id);
  }
  proven.id = points.front();
  const auto is_wanted = [&](const std::string& component) {
    return components.empty() || std::find(components.begin(), components.end(), component) != components.end();
  };
  for (const recovery::ComponentConfig& component : workspace->stack().components) {
    const bool covered =
        std::find(proven.components.begin(), proven.components.end(), component.name) != proven.components.end();
    if (is_wanted(component.name) && !covered) {
      return make_error(ErrorCode::kNotFound, "point {} holds nothing of {}", proven.id.substr(0, 8), component.name);
    }
  }
  return proven;
}

Result<void> RepositoryProofs::read_whole(recovery::Workspace& workspace, const std::string& point,
                                          const std::string& component) {
  if (read_.contains({point, component})) return {};
  recovery::VerifyRequest verify;
  verify.point = point;
  verify.components = {component};
  const recovery::VerifyOutcome outcome = TRY(recovery::verify_point(workspace, verify));
  if (outcome.findings() > 0) {
    return make_error(ErrorCode::kVerifyFailed, "point {} is not right: {} finding{} in {}", point.substr(0, 8),
                      outcome.findings(), outcome.findings() == 1 ? "" : "s", component);
  }
  read_.emplace(point, component);
  return {};
}

Result<std::string> RepositoryProofs::replication_lag(const std::string& component) {
  const recovery::StackConfig stack = TRY(stack_());
  std::vector<const recovery::ComponentConfig*> found;
  for (const recovery::ComponentConfig& each : stack.components) {
    if (each.kind == "postgres" && (component.empty() || each.name == component)) found.push_back(&each);
  }
  if (found.size() != 1) {
    return make_error(ErrorCode::kConfig, "the step names no PostgreSQL component of the stack");
  }
  const postgres::Connection connection = TRY(recovery::connection_of(*found.front()));
  const auto session = TRY(postgres::ServerSession::connect(connection));
  const postgres::Rows rows = TRY(session->exec(kLagQuery));
  if (rows.at(0, 0) != "t") {
    return make_error(ErrorCode::kMismatch, "the server of component {} is no standby", found.front()->name);
  }
  if (rows.is_null(0, 1) && rows.is_null(0, 2)) {
    return make_error(ErrorCode::kUnavailable, "the standby of component {} has replayed nothing yet",
                      found.front()->name);
  }
  const auto or_unknown = [&](size_t column) {
    return rows.is_null(0, column) ? "an unknown number of" : std::string(rows.at(0, column));
  };
  return fmt::format("the last transaction replayed is {} seconds old, {} bytes received are not replayed yet",
                     or_unknown(1), or_unknown(2));
}

}  // namespace holdfast::engine
