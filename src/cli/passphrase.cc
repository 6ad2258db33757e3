#include "cli/passphrase.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <array>

#include "base/filesystem.h"
#include "base/random.h"

namespace holdfast::cli {

namespace {

// Reads a line from the terminal itself, so that standard input stays free.
Result<Secret> ask(int terminal, std::string_view prompt) {
  struct termios before = {};
  if (tcgetattr(terminal, &before) != 0) return Error::from_errno(errno, "terminal");
  struct termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  if (write(terminal, prompt.data(), prompt.size()) < 0) return Error::from_errno(errno, "terminal");
  tcsetattr(terminal, TCSAFLUSH, &silent);
  Bytes line;
  line.reserve(1024);
  uint8_t byte = 0;
  while (line.size() < 1024 && read(terminal, &byte, 1) == 1 && byte != '\n') line.append(ByteView(&byte, 1));
  tcsetattr(terminal, TCSAFLUSH, &before);
  if (write(terminal, "\n", 1) < 0) return Error::from_errno(errno, "terminal");
  return Secret(std::move(line));
}

}  // namespace

Result<Secret> new_passphrase(const std::string& reference) {
  if (!reference.empty()) return resolve_secret(reference);
  const int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
  if (terminal < 0) {
    return make_error(ErrorCode::kUsage, "no new passphrase was given, and there is no terminal to ask for one")
        .with_hint("give --new-passphrase file:PATH, env:NAME or exec:COMMAND");
  }
  auto first = ask(terminal, "new passphrase: ");
  auto second = first.ok() ? ask(terminal, "once more: ") : Result<Secret>(first.error().clone());
  close(terminal);
  if (!second.ok()) return second;
  if (first->empty()) return make_error(ErrorCode::kUsage, "the passphrase is empty");
  if (!equal(first->reveal(), second->reveal())) return make_error(ErrorCode::kUsage, "the two passphrases differ");
  return first;
}

Result<void> generate_passphrase_file(const std::string& path) {
  std::array<uint8_t, 32> random;
  system_random().fill(random);
  const std::string text = to_hex(random) + "\n";
  return create_file_durably(real_file_system(), path, as_bytes(text), 0600);
}

}  // namespace holdfast::cli
