#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/errors.h"

namespace holdfast {

// What went wrong: a code from the registry, a message that names the object,
// the chain of what was being done (innermost first), and a hint of what to do.
// Cheap to move; a Result<T> that holds a value pays one pointer for it.
class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message);

  // An Error with `errno_value` mapped to the nearest code: ENOENT -> kNotFound,
  // EACCES/EPERM/EROFS -> kPermission, ENOSPC/EDQUOT -> kNoSpace, EEXIST ->
  // kAlreadyExists, else kIo. The message is "<what>: <strerror>".
  static Error from_errno(int errno_value, std::string_view what);
  // Whether the system said this, of an error that from_errno() made.
  bool says(int errno_value) const;

  ErrorCode code() const { return body_->code; }
  const std::string& message() const { return body_->message; }
  const std::vector<std::string>& context() const { return body_->context; }
  const std::string& hint() const { return body_->hint; }
  bool retryable() const { return body_->retryable; }
  bool data_loss() const { return body_->data_loss; }

  // Each returns the error itself, so that they chain on a temporary.
  Error&& with_context(std::string what) &&;
  Error&& with_hint(std::string hint) &&;
  Error&& with_retryable(bool retryable = true) &&;
  Error&& with_data_loss(bool data_loss = true) &&;
  Error&& with_code(ErrorCode code) &&;

  Error clone() const;

  // "outer context: inner context: message (hint)"; one line, lower-case.
  std::string text() const;

 private:
  struct Body {
    ErrorCode code;
    std::string message;
    std::vector<std::string> context;
    std::string hint;
    bool retryable = false;
    bool data_loss = false;
  };
  std::unique_ptr<Body> body_;
};

template <typename... Args>
Error make_error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// A value or an Error. Discarding one is a compile error (-Werror=unused-result);
// to discard on purpose, say ignore(result, "why").
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : data_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : data_(std::in_place_index<1>, std::move(error)) {}  // NOLINT
  template <typename U>
    requires(std::is_convertible_v<U, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
             !std::is_same_v<std::remove_cvref_t<U>, Error> && !std::is_same_v<std::remove_cvref_t<U>, Result>)
  Result(U&& value) : data_(std::in_place_index<0>, std::forward<U>(value)) {}  // NOLINT

  bool ok() const { return data_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    CHECK_MSG(ok(), "value() of an error");
    return std::get<0>(data_);
  }
  const T& value() const& {
    CHECK_MSG(ok(), "value() of an error");
    return std::get<0>(data_);
  }
  // By value, so that a loop over f().value() does not walk over what is gone.
  T value() && {
    CHECK_MSG(ok(), "value() of an error");
    return std::get<0>(std::move(data_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Error& error() & {
    CHECK_MSG(!ok(), "error() of a value");
    return std::get<1>(data_);
  }
  const Error& error() const& {
    CHECK_MSG(!ok(), "error() of a value");
    return std::get<1>(data_);
  }
  Error&& error() && {
    CHECK_MSG(!ok(), "error() of a value");
    return std::get<1>(std::move(data_));
  }

  // Adds what was being done to an error; leaves a value alone.
  Result&& context(std::string what) && {
    if (!ok()) std::get<1>(data_) = std::move(std::get<1>(data_)).with_context(std::move(what));
    return std::move(*this);
  }

 private:
  std::variant<T, Error> data_;
};

struct Unit {};

template <>
class [[nodiscard]] Result<void> : public Result<Unit> {
 public:
  using value_type = void;
  Result() : Result<Unit>(Unit{}) {}
  Result(Error error) : Result<Unit>(std::move(error)) {}         // NOLINT
  Result(Result<Unit> other) : Result<Unit>(std::move(other)) {}  // NOLINT
  Result&& context(std::string what) && {
    ignore_base(static_cast<Result<Unit>&&>(*this).context(std::move(what)));
    return std::move(*this);
  }

 private:
  static void ignore_base(Result<Unit>&&) {}
};

// Discards a Result on purpose. `why` is for the reader and for grep.
template <typename T>
void ignore(Result<T>&&, [[maybe_unused]] const char* why) {}
template <typename T>
void ignore(const Result<T>&, [[maybe_unused]] const char* why) {}

namespace internal {
template <typename T>
T take(Result<T>& result) {
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}
}  // namespace internal

// A name for each use, so that one may stand in another.
#define HOLDFAST_JOINED(left, right) left##right
#define HOLDFAST_NAMED(prefix, number) HOLDFAST_JOINED(prefix, number)
#define HOLDFAST_TRY(name, expression, failed)                             \
  __extension__({                                                          \
    auto name = (expression);                                              \
    if (!name.ok()) [[unlikely]]                                           \
      return failed;                                                       \
    ::holdfast::internal::take<typename decltype(name)::value_type>(name); \
  })

// TRY(expression): the value, or returns the error from the enclosing function.
#define TRY(expression) HOLDFAST_TRY_PLAIN(HOLDFAST_NAMED(try_result_, __COUNTER__), expression)
#define HOLDFAST_TRY_PLAIN(name, expression) HOLDFAST_TRY(name, expression, std::move(name).error())

// The same, with a line of context (fmt arguments) added to the error.
#define TRY_CONTEXT(expression, ...) \
  HOLDFAST_TRY_CONTEXT(HOLDFAST_NAMED(try_result_, __COUNTER__), expression, __VA_ARGS__)
#define HOLDFAST_TRY_CONTEXT(name, expression, ...) \
  HOLDFAST_TRY(name, expression, std::move(name).error().with_context(fmt::format(__VA_ARGS__)))

}  // namespace holdfast
