#include "runbook/clients.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace holdfast::runbook {

using shell::Invocation;

namespace {

// The values of a short option, also at the end of a group ("-Atc SQL") and with the value
// attached ("-cSQL"). `switches` are the program's short options without a value; that of
// `attached_only` is never the next word.
std::vector<std::string> values_of(const Invocation& invocation, std::string_view switches, char attached_only,
                                   char wanted) {
  std::vector<std::string> values;
  for (size_t index = 0; index < invocation.args.size(); index++) {
    const std::string& arg = invocation.args[index];
    if (arg == "--") break;
    if (arg.size() < 2 || arg[0] != '-' || arg[1] == '-') continue;
    const size_t letter = arg.find_first_not_of(switches, 1);
    if (letter == std::string::npos) continue;
    const bool attached = letter + 1 < arg.size();
    const std::string value = attached                             ? arg.substr(letter + 1)
                              : index + 1 < invocation.args.size() ? invocation.args[index + 1]
                                                                   : "";
    if (arg[letter] == wanted) values.push_back(value);
    if (!attached && arg[letter] != attached_only) index++;
  }
  return values;
}

bool is_mysql(const std::string& program) { return program == "mysql" || program == "mariadb"; }

std::vector<std::string> client_values(const Invocation& invocation, char option, std::string_view long_option) {
  constexpr std::string_view kPsqlSwitches = "aAbeEHlnqsStVwWxXz01", kMysqlSwitches = "ABbCEfGHiLNnoqrstUVvXw";
  const bool mysql = is_mysql(invocation.program);
  std::vector<std::string> values =
      values_of(invocation, mysql ? kMysqlSwitches : kPsqlSwitches, mysql ? 'p' : '\0', option);
  for (std::string& value : invocation.options(long_option)) values.push_back(std::move(value));
  return values;
}

// redis-cli --bigkeys, --rdb FILE: works without a command and ends, or at least asks nobody.
bool works_by_option(const Invocation& invocation) {
  constexpr std::array<std::string_view, 17> kModes = {
      "--scan",    "--stat", "--latency", "--latency-history", "--latency-dist",      "--bigkeys",  "--memkeys",
      "--hotkeys", "--pipe", "--rdb",     "--functions-rdb",   "--intrinsic-latency", "--lru-test", "--replica",
      "--slave",   "--eval", "--cluster"};
  return std::any_of(kModes.begin(), kModes.end(), [&](std::string_view mode) { return invocation.has(mode); });
}

bool runs_script(const Invocation& invocation) {
  const std::vector<std::string> operands = invocation.operands();
  return std::any_of(operands.begin(), operands.end(), [](const std::string& each) { return each.ends_with(".js"); });
}

}  // namespace

bool is_sql_client(const std::string& program) { return program == "psql" || is_mysql(program); }

std::vector<std::string> sql_files_of(const Invocation& invocation) { return client_values(invocation, 'f', "--file"); }

std::vector<std::string> redis_words(const Invocation& invocation) {
  constexpr std::string_view kValued =
      " -h -p -s -a -u -r -i -n -d -D -t -X --user --pass --sni --cacert --cacertdir --cert --key --pattern "
      "--quoted-pattern --tls-ciphers --tls-ciphersuites --count --show-pushes ";
  std::vector<std::string> words;
  for (size_t index = 0; index < invocation.args.size(); index++) {
    const std::string& arg = invocation.args[index];
    const bool call = words.empty() && arg == "--cluster" && index + 1 < invocation.args.size() &&
                      invocation.args[index + 1] == "call";
    if (call)
      index += 2;  // "call" and the node that is asked for the others
    else if (!words.empty() || !arg.starts_with("-"))
      words.push_back(arg);
    else if (kValued.find(" " + arg + " ") != std::string_view::npos)
      index++;
  }
  return words;
}

std::string sql_of(const Invocation& invocation) {
  std::vector<std::string> statements;
  if (invocation.program == "psql") statements = client_values(invocation, 'c', "--command");
  if (is_mysql(invocation.program)) statements = client_values(invocation, 'e', "--execute");
  std::string sql;
  for (const std::string& statement : statements) sql += (sql.empty() ? "" : "; ") + statement;
  return sql;
}

bool opens_prompt(const Invocation& invocation) {
  const std::string& program = invocation.program;
  if (invocation.has_input || invocation.has("--version") || invocation.has("--help")) return false;
  if (program == "psql")
    return sql_of(invocation).empty() && sql_files_of(invocation).empty() && !invocation.has("-l") &&
           !invocation.has("--list");
  if (is_mysql(program)) return sql_of(invocation).empty();
  if (program == "redis-cli") return redis_words(invocation).empty() && !works_by_option(invocation);
  if (program == "mongo" || program == "mongosh") return !invocation.has("--eval") && !runs_script(invocation);
  if (program == "sqlite3") return invocation.operands().size() < 2;
  const bool shell_program = program == "sh" || program == "bash" || program == "zsh" || program == "ash";
  if (shell_program && invocation.remote)
    return invocation.args.empty() || (invocation.args.size() == 1 && invocation.args[0] == "-l");
  if (program == "ssh")
    return !invocation.nested && invocation.operands().size() == 1 && !invocation.has("-N") && !invocation.has("-f");
  if (program == "su" || program == "runuser") return !invocation.has("-c") && !invocation.has("--command");
  if (program == "sudo") return invocation.operands().empty() && (invocation.has("-i") || invocation.has("-s"));
  return (program == "python" || program == "python3" || program == "node") && invocation.args.empty();
}

}  // namespace holdfast::runbook
