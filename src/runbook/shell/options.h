#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::shell {

// How programs' options are read. Which take a value is known of the usual tools of this field;
// "docker exec" and the like are programs of their own here.

// What a program is read as: podman takes what docker takes, valkey-cli what redis-cli does.
std::string_view family_of(std::string_view program);

bool is_flag(const std::string& word);
// "-rf", not "--force".
bool is_short_group(const std::string& word);
// The options in a group, up to the first that takes a value: what follows that is the value
// ("-it" of docker exec: "it"; "-Fc" of pg_restore: "F"). "" for other words.
std::string_view letters_of(std::string_view program, const std::string& word);
// The next word is the value of this one: "-u", "--user", "-iu".
bool takes_value(std::string_view program, const std::string& word);

// A word that is no option and, as far as is known, no value of one.
struct Operand {
  std::string text;
  bool maybe_value = false;  // it follows a long option that is not known
};
std::vector<Operand> operands_of(std::string_view program, const std::vector<std::string>& args);

// Where `wanted` ends when it stands at `from`; values of options may stand between, and so may those
// of options that are not known. npos: it doesn't stand there.
size_t end_of_words(const std::vector<Operand>& operands, size_t from, const std::vector<std::string>& wanted);

}  // namespace holdfast::shell
