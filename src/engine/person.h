#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/plan.h"

namespace holdfast::engine {

// What a person is asked. `answers` are words that mean the same in every question.
struct Question {
  enum class Kind { kApprove, kManual, kFailed, kUnknown, kTarget, kFence };
  Kind kind = Kind::kApprove;
  const Step* step = nullptr;
  std::string words;                 // one sentence
  std::vector<std::string> details;  // what to look at before one answers
  std::vector<std::string> answers;  // "yes", "skip", ... ; empty: any text
};

struct Answer {
  std::string key;
  std::string note;  // the reason of a skip, what was typed
};

// What a person wants without being asked.
enum class Wish {
  kNothing,
  kStopStep,  // end the running step now
  kDetach,    // leave; steps go on under their supervisors
};

// Whoever is at the keyboard.
class Person {
 public:
  virtual ~Person() = default;
  // Empty: nobody is there. While it waits it calls `meanwhile` several times a second.
  virtual Result<std::optional<Answer>> ask(const Question& question, const std::function<void()>& meanwhile) = 0;
  virtual Wish wish() = 0;
  // "alice@db1": for the journal.
  virtual std::string who() const = 0;
};

// An unattended run.
class Nobody : public Person {
 public:
  explicit Nobody(std::string who) : who_(std::move(who)) {}
  Result<std::optional<Answer>> ask(const Question&, const std::function<void()>&) override {
    return std::optional<Answer>();
  }
  Wish wish() override { return Wish::kNothing; }
  std::string who() const override { return who_; }

 private:
  const std::string who_;
};

// Account and host, for the journal.
std::string who_is_there();

std::string_view question_name(Question::Kind kind);

}  // namespace holdfast::engine
