#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::postgres {

// Comments out every setting of postgresql.conf syntax whose name `matches`; the
// rest stays byte for byte.
std::string comment_out_settings(std::string_view text, bool (*matches)(std::string_view name));

// Settings that belong to one recovery and must not be found by the next.
bool is_recovery_setting(std::string_view name);
// Of these, those that are refused when several are set: recovery_target*.
bool is_target_setting(std::string_view name);
// Settings that say where the old server's files were.
bool is_place_setting(std::string_view name);

// Empty values for what the captured cluster may have set in whatever file is read before
// postgresql.auto.conf, and what must not count in this recovery: targets other than those
// in `settings` and, `with_commands`, commands that reach out of the cluster. To stand before
// `settings`: PostgreSQL refuses a second target behind the first, though it be empty.
std::vector<std::pair<std::string, std::string>> settings_emptied(
    const std::vector<std::pair<std::string, std::string>>& settings, bool with_commands);

// Lines for postgresql.auto.conf, values quoted.
std::string format_settings(const std::vector<std::pair<std::string, std::string>>& settings);

}  // namespace holdfast::postgres
