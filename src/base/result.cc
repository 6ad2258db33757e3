#include "base/result.h"

#include <cctype>
#include <cerrno>
#include <cstring>

namespace holdfast {

namespace {

ErrorCode code_of_errno(int errno_value) {
  switch (errno_value) {
    case ENOENT: return ErrorCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS: return ErrorCode::kPermission;
    case ENOSPC:
    case EDQUOT: return ErrorCode::kNoSpace;
    case EEXIST: return ErrorCode::kAlreadyExists;
    case ESTALE:
    case ETIMEDOUT:
    case ENOTCONN:
    case EHOSTDOWN: return ErrorCode::kUnavailable;  // a network's file system is away
    default: return ErrorCode::kIo;
  }
}

std::string describe_errno(int errno_value) {
  char buffer[256];
  std::string text = strerror_r(errno_value, buffer, sizeof buffer);  // the GNU form: may not use the buffer
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace

Error::Error(ErrorCode code, std::string message) : body_(std::make_unique<Body>()) {
  body_->code = code;
  body_->message = std::move(message);
}

Error Error::from_errno(int errno_value, std::string_view what) {
  return Error(code_of_errno(errno_value), fmt::format("{}: {}", what, describe_errno(errno_value)));
}

bool Error::says(int errno_value) const { return message().ends_with(": " + describe_errno(errno_value)); }

Error&& Error::with_context(std::string what) && {
  body_->context.push_back(std::move(what));
  return std::move(*this);
}

Error&& Error::with_hint(std::string hint) && {
  body_->hint = std::move(hint);
  return std::move(*this);
}

Error&& Error::with_retryable(bool retryable) && {
  body_->retryable = retryable;
  return std::move(*this);
}

Error&& Error::with_data_loss(bool data_loss) && {
  body_->data_loss = data_loss;
  return std::move(*this);
}

Error&& Error::with_code(ErrorCode code) && {
  body_->code = code;
  return std::move(*this);
}

Error Error::clone() const {
  Error copy(body_->code, body_->message);
  *copy.body_ = *body_;
  return copy;
}

std::string Error::text() const {
  std::string text;
  for (auto what = body_->context.rbegin(); what != body_->context.rend(); ++what) text += *what + ": ";
  text += body_->message;
  if (!body_->hint.empty()) text += " (" + body_->hint + ")";
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

}  // namespace holdfast
