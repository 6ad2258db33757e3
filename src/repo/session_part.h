#pragma once

#include <memory>

#include "repo/repository.h"

namespace holdfast::repo {

// One of several who put into the same session at once, each with figures of its own:
// stats() counts what was put through the part (stored_bytes: its records; what packs
// and index take beside them is the whole session's). Blocks of one part are there for
// the others. Thread-safe, as the session is, which must outlive it and is committed
// by itself, after every part is done: commit() of a part is kInternal, and flush()
// only tells of the session's failures.
std::unique_ptr<WriteSession> part_of(WriteSession& session);

}  // namespace holdfast::repo
