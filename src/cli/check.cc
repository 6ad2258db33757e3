#include "repo/check.h"

#include <charconv>
#include <set>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/progress_view.h"
#include "cli/terminal.h"
#include "recovery/missing_wal.h"

namespace holdfast::cli {

namespace {

struct CheckCommand {
  std::string read_data;
  CLI::Option* read_data_option = nullptr;
  bool repair_index = false;
};

// "--read-data" alone is all of it; "--read-data=10%" a share.
Result<int> share_of(const CheckCommand& options) {
  if (options.read_data_option->count() == 0) return 0;
  std::string text = options.read_data;
  if (text.empty() || text == "all") return 100;
  if (text.ends_with('%')) text.pop_back();
  int share = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), share);
  if (problem != std::errc() || end != text.data() + text.size() || share < 1 || share > 100) {
    return make_error(ErrorCode::kUsage, "--read-data wants a share from 1% to 100%, not '{}'", options.read_data);
  }
  return share;
}

void print_report(Context& context, const repo::CheckReport& report, int share) {
  for (const repo::Damage& damage : report.damage)
    context.print("damaged: {}: {}", printable(damage.object), printable(damage.problem));
  context.print("checked {}: {}, {}, {}, {}", counted(report.objects, "object"), counted(report.points, "point"),
                counted(report.packs, "pack"), counted(report.blocks, "block"), counted(report.records, "log record"));
  if (share > 0) {
    context.print("read {} ({}% of the data)", format_bytes(report.bytes_read), share);
  } else {
    context.say("structure only: --read-data also reads every byte");
  }
  if (report.garbage_packs > 0 && report.points > 0) {
    context.say("{} ({}) belong to no point: 'holdfast prune' collects them", counted(report.garbage_packs, "pack"),
                format_bytes(report.garbage_bytes));
  }
}

// Each object may be whole, and yet a point lack the log that makes its cluster whole.
Json told_of_missing_wal(Context& context, const std::vector<recovery::MissingWal>& missing) {
  Json documents = Json::array();
  for (const recovery::MissingWal& each : missing) {
    documents.push_back({{"point", each.point.hex()}, {"component", each.component}, {"problem", each.problem}});
    context.print("incomplete: point {} of {}: {}: {}", short_id(each.point), format_local(each.point_time),
                  printable(each.component), printable(each.problem));
  }
  return documents;
}

Error incomplete(const std::vector<recovery::MissingWal>& missing) {
  std::set<repo::PointId> points;
  for (const recovery::MissingWal& each : missing) points.insert(each.point);
  return make_error(ErrorCode::kIncomplete,
                    "{} can't be restored whole: WAL between the beginning and the end of a backup is not stored",
                    counted(points.size(), "point"))
      .with_hint(
          "push the missing segments ('holdfast wal push') if they still exist. A point without them is of no use for "
          "its cluster: this is told until retention removes it");
}

// Each object that is there may be whole, and yet there be nothing to restore.
std::string nothing_to_restore(const repo::CheckReport& report) {
  if (report.points > 0 || (report.packs == 0 && report.records == 0)) return "";
  return fmt::format(
      "no recovery point is visible, though there are {} and {}: nothing can be restored from what is here. If points "
      "were taken, their directory (points/) is away or was emptied: bring it back. Meanwhile prune frees nothing",
      counted(report.packs, "pack"), counted(report.records, "log record"));
}

Result<void> run(Context& context, const CheckCommand& options) {
  const int share = TRY(share_of(options));
  auto workspace = TRY(context.open());
  Json document;
  if (options.repair_index) {
    ProgressView view(context);
    const repo::RebuiltIndex rebuilt = TRY(repo::rebuild_index(workspace->repository(), context.progress()));
    document["index_rebuilt_blocks"] = rebuilt.blocks;
    document["index_skipped_packs"] = Json::array();
    for (const repo::Damage& pack : rebuilt.skipped) {
      document["index_skipped_packs"].push_back({{"object", pack.object}, {"problem", pack.problem}});
      context.print("left out of the index: {}: {}", printable(pack.object), printable(pack.problem));
    }
    context.say("the index was rebuilt from the packs: {}", counted(rebuilt.blocks, "block"));
  }
  Result<repo::CheckReport> checked = [&] {
    ProgressView view(context);
    return repo::check(workspace->repository(), {share}, context.progress());
  }();
  if (!checked.ok()) return std::move(checked).error();
  const repo::CheckReport& report = *checked;
  Json damage = Json::array();
  for (const repo::Damage& item : report.damage) damage.push_back({{"object", item.object}, {"problem", item.problem}});
  document.update(Json{{"objects", report.objects},
                       {"points", report.points},
                       {"packs", report.packs},
                       {"blocks", report.blocks},
                       {"records", report.records},
                       {"read_data_percent", share},
                       {"bytes_read", report.bytes_read},
                       {"garbage_packs", report.garbage_packs},
                       {"garbage_bytes", report.garbage_bytes},
                       {"damage", damage}});
  const std::string unseen = nothing_to_restore(report);
  std::vector<std::string> warnings = report.notes;
  if (!unseen.empty()) warnings.push_back(unseen);
  print_report(context, report, share);
  auto missing = recovery::missing_wal(*workspace);
  if (missing.ok())
    document["incomplete"] = told_of_missing_wal(context, *missing);
  else if (!report.damage.empty())
    warnings.push_back("whether each point has the WAL that it needs is not known: " + missing.error().text());
  if (!warnings.empty()) document["warnings"] = warnings;
  context.set_document("check", std::move(document));
  for (const std::string& warning : warnings) context.warn("{}", warning);
  if (!report.damage.empty()) {
    std::set<std::string> objects;
    for (const repo::Damage& item : report.damage) objects.insert(item.object);
    return make_error(ErrorCode::kDamaged, "{} of the repository {} damaged or missing",
                      counted(objects.size(), "object"), objects.size() == 1 ? "is" : "are")
        .with_hint("'holdfast explain' lists the points and files that this touches");
  }
  if (!unseen.empty() && report.packs > 0)
    return make_error(ErrorCode::kIncomplete, "no damage found in what is there, but no recovery point is there");
  if (!missing.ok()) return std::move(missing).error().with_context("looking for the WAL of each point");
  if (!missing->empty()) return incomplete(*missing);
  context.print("{}", unseen.empty() ? "no damage found" : "no damage found in what is there");
  return {};
}

}  // namespace

void add_check(Program& program) {
  auto options = std::make_shared<CheckCommand>();
  CLI::App* command =
      program.command("check", "Prove the repository: every object is there, reads, and refers to what exists.");
  options->read_data_option =
      command
          ->add_option("--read-data", options->read_data,
                       "also read the bytes: all, or a share (10%) that moves on from run to run")
          ->type_name("[=N%]")
          ->expected(0, 1);
  command->add_flag("--repair-index", options->repair_index, "first rebuild a lost or damaged index from the packs");
  program.examples(command,
                   "holdfast check\n"
                   "holdfast check --read-data=10%     # nightly: all is read within ten nights\n"
                   "holdfast check --repair-index --read-data");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
