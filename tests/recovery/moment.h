#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>

#include "base/result.h"
#include "recovery/workload.h"

namespace holdfast::servers {

// A microsecond while writers were committing, on or beside the time of a commit, and what a
// recovery to it must have.
//
// PostgreSQL replays in the order of the log and stops before the first record of a commit or an
// abort whose time is later than the target (exclusive: later or the same). Times are taken before
// records are put into the log, so they need not rise along it: a commit of an earlier time that
// comes behind that record is left out. Which commits come before is read from the log that the
// server wrote.
struct Moment {
  std::string time;                        // RFC 3339, whole microseconds
  std::array<int64_t, kWriters> with{};    // the ledger of a recovery that includes `time`
  std::array<int64_t, kWriters> before{};  // and of one that ends just before it
  bool inverted = false;                   // times fall along the log there
  size_t instants_before = 0;              // for its keeper: how many quiet instants came before

  std::string text() const;
};

// Lets the writers go on for a while, and chooses.
Result<Moment> note_moment(PrivatePostgres& server, Workload& workload, std::mt19937_64& random);

// Of a server that was restored to the moment: its ledger is the one expected, and no commit in it
// has a later time. The error says what differs.
Result<void> compare_moment(const PrivatePostgres& restored, const Moment& moment, bool inclusive);

}  // namespace holdfast::servers
