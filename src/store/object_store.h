#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace holdfast::store {

// What a listing says of one object.
struct ObjectInfo {
  std::string name;
  uint64_t size_bytes = 0;
  Time modified;  // by the store's own clock
};

// A place that keeps immutable named objects: a directory, a bucket. This is all
// that the repository asks of one, and the conformance suite in
// store/conformance.h is run on every implementation.
//
// Names are relative, made of [A-Za-z0-9._-] and '/', never empty, no "." or
// ".." part, at most 512 bytes. Thread-safe. Errors name the object. An error is
// retryable() when the same call may succeed later.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  // Creates the object; durable, whole and visible under its name when this
  // returns, and not visible before it is whole. When the name exists:
  // kAlreadyExists, and the existing object is untouched.
  virtual Result<void> create(std::string_view name, ByteView content) = 0;

  // `length` bytes from `offset`; kDamaged when the object is shorter than that,
  // kNotFound when it is proven absent, kUnavailable when that can't be told.
  virtual Result<Bytes> read(std::string_view name, uint64_t offset, size_t length) = 0;
  virtual Result<Bytes> read_all(std::string_view name) = 0;

  virtual Result<ObjectInfo> stat(std::string_view name) = 0;

  // Every object whose name begins with `prefix` (which ends in '/' or is
  // empty), in the byte order of names. Objects that come or go meanwhile may be
  // missed; all others are seen.
  virtual Result<void> list(std::string_view prefix, const std::function<Result<void>(const ObjectInfo&)>& visit) = 0;
  // Their names only, which may be had for less.
  virtual Result<void> list_names(std::string_view prefix,
                                  const std::function<Result<void>(const std::string&)>& visit) {
    return list(prefix, [&](const ObjectInfo& info) { return visit(info.name); });
  }

  // Removes the object; absent is kNotFound. Durable when it returns.
  virtual Result<void> remove(std::string_view name) = 0;

  // The store's clock (leases are measured by it, never by the client's).
  virtual Result<Time> server_time() = 0;

  // How a person calls this place: "/srv/repo", "s3://bucket/prefix".
  virtual std::string location() const = 0;
};

}  // namespace holdfast::store
