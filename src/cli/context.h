#pragma once

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/progress.h"
#include "base/result.h"
#include "recovery/settings.h"
#include "recovery/workspace.h"

namespace holdfast::cli {

// JSON that keeps the order in which its keys were written: people read it too.
using Json = nlohmann::ordered_json;

struct GlobalOptions {
  recovery::Overrides overrides;
  bool json = false;
  bool quiet = false;
  bool verbose = false;
};

// What every command is given: settings, the outside world, and where its words
// go. Results go to standard output: either lines, or (--json) one document.
// Everything else goes to standard error.
class Context {
 public:
  Context();

  GlobalOptions& options() { return options_; }
  Progress& progress();
  recovery::Machine machine();
  Result<recovery::StackConfig> stack();
  // The repository.
  Result<std::unique_ptr<recovery::Workspace>> open();
  // The same for what a server runs for each of its segments: at once, and without warnings,
  // which would fill its log.
  Result<std::unique_ptr<recovery::Workspace>> open_for_server();

  bool json() const { return options_.json; }
  bool quiet() const { return options_.quiet; }

  // A line of the result; nothing with --json.
  template <typename... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    if (!options_.json) write_line(fmt::format(format, std::forward<Args>(args)...));
  }
  // A line beside the result: nothing with --json or --quiet.
  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    if (!options_.json && !options_.quiet) write_line(fmt::format(format, std::forward<Args>(args)...));
  }
  // What must not be missed, on standard error also with --quiet. Nothing with --json: there it
  // belongs into the document.
  template <typename... Args>
  void warn(fmt::format_string<Args...> format, Args&&... args) {
    if (!options_.json) write_warning(fmt::format(format, std::forward<Args>(args)...));
  }
  // Text as it is, whatever the options: generated files, a bare id.
  void write(const std::string& text);

  // The document of --json. `schema` names it ("points"); docs/json.md has them all.
  void set_document(const std::string& schema, Json document);
  const std::optional<Json>& document() const { return document_; }
  // The document will be the last of several JSON texts: one line each.
  void set_compact() { compact_ = true; }
  bool compact() const { return compact_; }

 private:
  void write_line(const std::string& line);
  static void write_warning(const std::string& text);
  void warn_of_passphrase(const std::string& reference);

  GlobalOptions options_;
  std::optional<Json> document_;
  bool compact_ = false;
  bool warned_of_log_ = false;
  bool warned_of_passphrase_ = false;
};

}  // namespace holdfast::cli
