#include "cli/receiver_words.h"

#include "base/log.h"
#include "cli/terminal.h"

namespace holdfast::cli {

void tell_trouble(Context& context, const std::string& time, const std::string& trouble) {
  if (context.quiet() || context.json())
    log_warn("receive.interrupted", {{"problem", trouble}});
  else
    context.say("{}  {}", time, printable(one_line(trouble)));
}

}  // namespace holdfast::cli
