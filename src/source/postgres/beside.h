#pragma once

#include <string>
#include <string_view>

namespace holdfast::postgres {

// A cluster that is restored where its original may live on is denied what would act in the
// original's place, by the last lines of its postgresql.auto.conf. Somebody has to take them
// back once it is the one: until then nothing of it is archived.
extern const std::string_view kBesideSettings;

// The command of a shell that takes exactly these lines back, while the server has not
// rewritten the file (ALTER SYSTEM drops comments).
std::string command_to_take_place(const std::string& data_directory);

// Whether the settings in force are these, for a query: true or false. False where the role may
// not see which file a setting is of.
extern const std::string_view kIsBesideSql;

// What to tell of a server that answers so, though it is the one that is protected.
extern const std::string_view kStillBeside;

}  // namespace holdfast::postgres
