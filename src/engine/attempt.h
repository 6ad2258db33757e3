#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/filesystem.h"
#include "base/result.h"
#include "base/time.h"
#include "engine/process_identity.h"
#include "engine/redactor.h"

namespace holdfast::engine {

// The files of one attempt (docs/engine.md, "The directory of a run").
struct AttemptFiles {
  std::string directory;
  std::string script() const { return directory + "/script"; }
  std::string began() const { return directory + "/began"; }
  std::string output() const { return directory + "/output"; }
  std::string status() const { return directory + "/status"; }
  std::string reserved() const { return directory + "/status.new"; }
};

// Where the attempts of a step, or of one of its commands, have their directories: below the run's.
std::string attempts_directory(const std::string& id);

// How an attempt ended.
struct AttemptEnd {
  int exit_status = 0;  // 128 + signal when it was killed
  int signal = 0;
  bool timed_out = false;  // by its own timeout
  bool stopped = false;    // because somebody asked for it
  std::string failure;     // why its program could not be started; "" : it was
  Time ended;
  Duration took;
  uint64_t output_bytes = 0, dropped_bytes = 0;

  // Of a command that is asked whether something holds: it came to a yes or a no.
  bool answers() const;
  // Its status is its own, and not what was left of it.
  bool ended_by_itself() const { return failure.empty() && !timed_out && !stopped; }
  bool succeeded() const { return exit_status == 0 && ended_by_itself(); }
  Json to_json() const;
  static Result<AttemptEnd> from_json(const Json& json);
};

// "ended with status 3", "was ended by its timeout", "was killed by signal 9".
std::string end_words(const AttemptEnd& end);

// What a supervisor is told to run. It travels through a socket alone.
struct AttemptOrder {
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> environment;  // the whole of it
  std::vector<NamedSecret>
      secrets;  // cut out of the output; those that are meant for the step are in `environment` too
  std::string working_directory;
  mode_t file_mask = 0077;  // umask
  std::string input;        // on standard input; empty: /dev/null
  std::optional<Duration> timeout;

  // What the journal keeps of it.
  std::string argv_sha256() const;
  std::string encode() const;
  static Result<AttemptOrder> decode(std::string_view text);
};

// The durable end of an attempt; empty when there is none (yet).
Result<std::optional<AttemptEnd>> read_status(FileSystem& fs, const AttemptFiles& files);

}  // namespace holdfast::engine
