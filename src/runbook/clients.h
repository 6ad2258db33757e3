#pragma once

#include <string>
#include <vector>

#include "runbook/shell/invocation.h"

namespace holdfast::runbook {

// How clients of databases, and programs that open a shell, are told what to do.

// psql, mysql, mariadb.
bool is_sql_client(const std::string& program);
// The SQL that an invocation of one carries in an argument; "" for other programs.
std::string sql_of(const shell::Invocation& invocation);
std::vector<std::string> sql_files_of(const shell::Invocation& invocation);
// The command that redis-cli is given, word by word; empty when there is none.
std::vector<std::string> redis_words(const shell::Invocation& invocation);
// Opens a prompt for a person: psql without a command, redis-cli without one, a shell.
bool opens_prompt(const shell::Invocation& invocation);

}  // namespace holdfast::runbook
