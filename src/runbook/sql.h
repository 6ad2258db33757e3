#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::runbook {

// SQL in words, in lower case: names with their schema ("public.users") and without quotes, each of
// "( , ;" by itself, what strings hold word by word: it may be run. Comments are left out.
std::vector<std::string> sql_words(std::string_view sql);
// Nothing in it but what only looks, or sets something for its own session.
bool sql_only_looks(std::string_view sql);

}  // namespace holdfast::runbook
