#include "cli/context.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/log_environment.h"
#include "base/subprocess.h"
#include "cli/sentence.h"
#include "cli/signals.h"
#include "cli/terminal.h"

namespace holdfast::cli {

Context::Context() = default;

Progress& Context::progress() { return process_progress(); }

recovery::Machine Context::machine() { return {real_file_system(), system_clock(), system_random(), progress()}; }

Result<recovery::StackConfig> Context::stack() {
  return recovery::settle_stack(real_file_system(), options_.overrides,
                                [](const char* name) { return std::getenv(name); });
}

Result<std::unique_ptr<recovery::Workspace>> Context::open() {
  // With --json, too: they are of what runs the command, and not of its document.
  if (const std::string problem = problem_of_log_environment(); !problem.empty() && !warned_of_log_)
    write_warning(printable(problem));
  warned_of_log_ = true;
  auto workspace = TRY(open_for_server());
  warn_of_passphrase(workspace->stack().passphrase);
  return workspace;
}

// What it protects anybody could read.
void Context::warn_of_passphrase(const std::string& reference) {
  if (warned_of_passphrase_ || !reference.starts_with("file:")) return;
  warned_of_passphrase_ = true;
  const std::string path = reference.substr(5);
  struct stat status;  // of what a link leads to
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || (status.st_mode & S_IROTH) == 0) return;
  write_warning(fmt::format("every account of this machine can read the passphrase in {}:\n  chmod 600 {}",
                            printable(path), shell_quoted(path)));
}

Result<std::unique_ptr<recovery::Workspace>> Context::open_for_server() {
  return recovery::Workspace::open(TRY(stack()), machine());
}

void Context::write(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

// What is indented is to be read or copied as it is.
void Context::write_line(const std::string& line) {
  write(line.starts_with(' ') ? line + "\n" : sentence(line, width_of_lines(STDOUT_FILENO)));
}

// Words of its second and later lines are commands: they stay whole.
void Context::write_warning(const std::string& text) {
  std::fflush(stdout);
  const size_t end = std::min(text.find('\n'), text.size());
  const size_t width = std::min<size_t>(terminal_width(STDERR_FILENO), 100);
  std::string out;
  for (const std::string& line : wrap("warning: " + text.substr(0, end), width)) out += line + "\n";
  if (end < text.size()) out += text.substr(end + 1) + "\n";
  std::fputs(out.c_str(), stderr);
}

void Context::set_document(const std::string& schema, Json document) {
  Json whole = {{"schema", "holdfast." + schema + "/1"}};
  whole.update(document);
  document_ = std::move(whole);
}

}  // namespace holdfast::cli
