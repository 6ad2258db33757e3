#include "cli/receiver_words.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "base/log.h"
#include "cli/terminal.h"

namespace holdfast::cli {

namespace {

// A terminal, or a service's log, into which both outputs go.
bool shows_words() {
  struct stat words, events;
  if (isatty(STDOUT_FILENO) == 1) return true;
  return fstat(STDOUT_FILENO, &words) == 0 && fstat(STDERR_FILENO, &events) == 0 && words.st_dev == events.st_dev &&
         words.st_ino == events.st_ino;
}

}  // namespace

void tell_trouble(Context& context, const std::string& time, const Trouble& trouble) {
  context.say("{}  {}", time, printable(one_line(trouble.text)));
  std::fflush(stdout);
  if (context.quiet() || context.json() || !shows_words())
    log_warn("receive.interrupted",
             {{"component", trouble.component}, {"kind", trouble.kind}, {"problem", trouble.text}});
}

}  // namespace holdfast::cli
