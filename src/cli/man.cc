#include "base/errors.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/program.h"
#include "cli/version.h"

namespace holdfast::cli {

namespace {

// Text for roff: backslashes and hyphens are theirs, and a line must not begin
// with a dot or a quote.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  if (out.starts_with('.') || out.starts_with('\'')) out = "\\&" + out;
  return out;
}

std::string options_of(const std::vector<OptionHelp>& options) {
  std::string out;
  for (const OptionHelp& option : options) {
    out += ".TP\n\\fB" + roff(option.names) + "\\fR";
    if (!option.positional && !option.value.empty()) out += " \\fI" + roff(option.value) + "\\fR";
    out += "\n" + roff(option.description) + "\n";
  }
  return out;
}

std::string examples_of(const std::string& text) {
  std::string out = ".PP\n.nf\n.RS 4\n";
  size_t start = 0;
  while (start < text.size()) {
    size_t end = text.find('\n', start);
    if (end == std::string::npos) end = text.size();
    out += roff(text.substr(start, end - start)) + "\n";
    start = end + 1;
  }
  return out + ".RE\n.fi\n";
}

std::string command_pages(const CommandHelp& command) {
  std::string out;
  for (const CommandHelp& below : command.commands) {
    if (below.runs) {
      out += ".SS " + roff(below.usage) + "\n" + roff(below.summary) + "\n";
      out += options_of(below.positionals) + options_of(below.options);
      if (!below.examples.empty()) out += examples_of(below.examples);
    }
    out += command_pages(below);
  }
  return out;
}

std::string exit_statuses() {
  std::string out = ".TP\n\\fB0\\fR\ndone\n";
#define X(identifier, name, exit_status, meaning) \
  out += ".TP\n\\fB" #exit_status "\\fR " + roff(name) + "\n" + roff(meaning) + "\n";
  HOLDFAST_ERROR_CODES(X)
#undef X
  return out +
         ".PP\n\\fBholdfast wal get\\fR has its own: 0, 1 (the file is proven absent), 126 (any other trouble), as "
         "PostgreSQL's "
         "restore_command needs.\n";
}

constexpr const char* kEnvironment =
    ".TP\n\\fBHOLDFAST_CONFIG\\fR\nthe stack's file\n"
    ".TP\n\\fBHOLDFAST_REPOSITORY\\fR\nlocation of the repository\n"
    ".TP\n\\fBHOLDFAST_PASSPHRASE\\fR\nits passphrase\n"
    ".TP\n\\fBHOLDFAST_CONNECTION\\fR\nconnection of the only PostgreSQL component\n"
    ".TP\n\\fBHOLDFAST_THREADS\\fR, \\fBHOLDFAST_COMPRESSION\\fR\nas the keys of the file\n"
    ".TP\n\\fBHOLDFAST_PG_BIN\\fR\ndirectory of PostgreSQL's server programs, for verify \\-\\-boot\n"
    ".TP\n\\fBHOLDFAST_LOG\\fR, \\fBHOLDFAST_LOG_FORMAT\\fR\nevents on standard error: debug, info, warn, error, off; "
    "text or json\n"
    ".TP\n\\fBDB_HOST\\fR, \\fBDB_PORT\\fR, \\fBDB_NAME\\fR, \\fBDB_USER\\fR, \\fBDB_PASSWORD\\fR\nthe only PostgreSQL "
    "component's server\n"
    ".TP\n\\fBREDIS_URL\\fR, \\fBREDIS_PASSWORD\\fR\nwhere init looks for a Redis server, and its password\n"
    ".TP\n\\fBBACKUP_ENCRYPTION_KEY\\fR\nthe passphrase, when HOLDFAST_PASSPHRASE is not set\n";

std::string man_page(const CLI::App& app) {
  const CommandHelp root = describe(app);
  std::string out = fmt::format(".TH HOLDFAST 1 \"\" \"holdfast {}\" \"User Commands\"\n", kVersion);
  out += ".SH NAME\nholdfast \\- protect, prove and restore PostgreSQL, Redis and files\n";
  out += ".SH SYNOPSIS\n\\fBholdfast\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n";
  out +=
      ".SH DESCRIPTION\nholdfast keeps recovery points of a stack, described in holdfast.yaml, in an encrypted and "
      "deduplicated "
      "repository, with PostgreSQL's WAL and Redis's commands between them, and restores components to any instant of "
      "their recovery "
      "window. "
      "It says what will happen, and how much will be lost, before it changes anything.\n";
  out += ".SH COMMANDS\n" + command_pages(root);
  out += ".SH GLOBAL OPTIONS\n" + options_of(global_options(app));
  out += ".SH EXIT STATUS\n" + exit_statuses();
  out += std::string(".SH ENVIRONMENT\n") + kEnvironment;
  out +=
      ".SH FILES\n.TP\n\\fB./holdfast.yaml\\fR, \\fB/etc/holdfast/holdfast.yaml\\fR\nthe stack, when neither "
      "\\-\\-config nor HOLDFAST_CONFIG names it\n";
  out += ".SH EXAMPLES\n" + examples_of(root.examples);
  return out;
}

// ---- The same as Markdown: docs/commands.md.

std::string markdown_options(const char* title, const std::vector<OptionHelp>& options) {
  if (options.empty()) return "";
  std::string out = fmt::format("\n| {} | |\n|---|---|\n", title);
  for (const OptionHelp& option : options) {
    std::string description;
    for (const char c : option.description) description += c == '|' ? std::string("\\|") : std::string(1, c);
    const std::string value = option.positional || option.value.empty() ? "" : " " + option.value;
    out += fmt::format("| `{}{}` | {} |\n", option.names, value, description);
  }
  return out;
}

std::string markdown_command(const CommandHelp& command) {
  std::string out;
  for (const CommandHelp& below : command.commands) {
    if (below.runs) {
      out += fmt::format("\n## holdfast {}\n\n{}\n\n```\n{}\n```\n", below.name, below.summary, below.usage);
      out += markdown_options("argument", below.positionals) + markdown_options("option", below.options);
      if (!below.examples.empty()) out += "\n```sh\n" + below.examples + "\n```\n";
    }
    out += markdown_command(below);
  }
  return out;
}

std::string command_reference(const CLI::App& app) {
  const CommandHelp root = describe(app);
  std::string out =
      "# Commands\n\n"
      "Made by `holdfast man --markdown`; a test compares this file with it. Exit statuses are in "
      "[exit-codes.md](exit-codes.md), the documents of `--json` in [json.md](json.md), the keys of holdfast.yaml in "
      "[configuration.md](configuration.md).\n\n"
      "Times are shown in the local zone with its offset; times are given as RFC 3339 with a zone, or like `10 minutes "
      "ago`. Documents (`--json`, evidence, reports) have them in UTC, with a Z. "
      "Results go to standard output, everything else to standard error. SIGINT and SIGTERM end a command cleanly "
      "(exit status 33; `wal receive` and `log receive`, when all that they have is stored: 0); a second one ends it "
      "at once.\n\n```sh\n" +
      root.examples + "\n```\n\n## Global options\n";
  return out + markdown_options("option", global_options(app)) + markdown_command(root);
}

}  // namespace

void add_man(Program& program) {
  auto markdown = std::make_shared<bool>(false);
  CLI::App* command = program.command("man", "Print the manual page.");
  command->add_flag("--markdown", *markdown, "as Markdown (docs/commands.md)");
  program.examples(command, "holdfast man | man -l -\nholdfast man > /usr/local/share/man/man1/holdfast.1");
  program.on(command, [&program, markdown](Context& context) -> Result<void> {
    context.write(*markdown ? command_reference(program.root()) : man_page(program.root()));
    return {};
  });
}

}  // namespace holdfast::cli
