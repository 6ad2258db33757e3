#pragma once

#include <sys/types.h>

#include <string>

namespace holdfast::repo {

// Tells a process of this machine from every other one that ever had its number:
// "<boot id> <PID namespace> <start, in ticks since boot>". "" when /proc does not say.
std::string own_process_mark();
// The same of another process of this PID namespace; "" when it is not there.
std::string process_mark_of(pid_t process);

// True only when the process that made `mark` is known to have ended: it ran in this
// boot of this machine and in our PID namespace, and its number is free or another's
// now. One that nobody has waited for yet (a zombie) has ended. Whatever is in doubt, also on other machines, may be
// alive.
bool is_proven_dead(pid_t process, const std::string& mark);

}  // namespace holdfast::repo
